"""Tests of the training code: python -m unittest, in this folder, with the training's requirements installed.

Seconds on one core: the models are nano's own, the data a handful of made-up pictures.
"""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

import autoencoder as ae
import common
import data
import distill
import model
import quantize
import train
import tune_decoder

HERE = Path(__file__).parent
CPU = torch.device("cpu")


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def little_work(folder: Path, pictures: int = 6) -> None:
    """A WORK folder with noise for pictures and an untrained autoencoder that has a latent for each."""
    random = np.random.default_rng(1)
    tokens = np.zeros((pictures, data.TOKENS), np.int64)
    tokens[:, :4] = np.stack([np.full(pictures, 1), np.arange(3, 3 + pictures), np.full(pictures, 9), np.full(pictures, 2)], 1)
    np.savez(
        folder / "data.npz",
        images=random.integers(0, 256, (pictures, data.SIZE, data.SIZE, 3), np.uint8),
        names=np.array([f"name {i}" for i in range(pictures)]),
        styles=np.array(["flat"] * pictures),
        tokens=tokens,
        plain=tokens,
        compositions=np.array(["two names"]),
        composition_tokens=tokens[:1],
        prompts=np.array(2),
    )
    latents = torch.randn(pictures, model.LATENT, 8, 8, generator=seeded())
    common.save(folder / "autoencoder.pt", {"averaged": ae.init_decoder(seeded()), "latents": latents, "step": 0})


class Batches(unittest.TestCase):
    def test_noise_levels_are_of_the_four_step_grid_in_the_share_asked_for(self):
        for share in (0.0, 0.25, 1.0):
            levels = train.noise_levels(20_000, share, seeded(), CPU)
            self.assertTrue(bool(((levels > 0) & (levels <= 1)).all()))
            first = float((levels == 1).double().mean())
            later = float(torch.isin(levels, torch.tensor([0.25, 0.5, 0.75])).double().mean())
            # Four standard deviations of a share of 20,000.
            self.assertAlmostEqual(first, share / 2, delta=0.015)
            self.assertAlmostEqual(later, share / 2, delta=0.015)

    def test_an_epoch_shows_all_pictures_once_and_the_first_oftener(self):
        rows = common.epoch(10, 3, 2, seed=5)
        self.assertEqual(rows.bincount().tolist(), [3, 3, 3, 1, 1, 1, 1, 1, 1, 1])
        self.assertNotEqual(rows.tolist(), common.epoch(10, 3, 2, seed=6).tolist())

    def test_an_epoch_without_again_is_a_permutation(self):
        self.assertEqual(sorted(common.epoch(10, 0, 1, seed=5).tolist()), list(range(10)))

    def test_names_of_the_prompt_list_come_first_and_the_rest_in_a_fixed_order(self):
        found = data.order(["c", "a", "d", "b"], ["d", "not there", "b"])
        self.assertEqual(found[:2], ["d", "b"])
        self.assertEqual(sorted(found[2:]), ["a", "c"])
        self.assertEqual(found, data.order(["b", "d", "a", "c"], ["d", "not there", "b"]))


class SuperNetwork(unittest.TestCase):
    def setUp(self):
        self.params = model.init(seeded())

    def test_a_cut_has_the_shapes_of_its_width(self):
        for width in model.WIDTHS[1:]:
            found = {name: tuple(value.shape) for name, value in model.cut(self.params, width).items()}
            self.assertEqual(found, model.text_shapes() | model.shapes(width))

    def test_the_narrower_nets_share_all_but_norms_and_modulation(self):
        narrow = model.cut(self.params, 96)
        weight = self.params["down.0.ffn.up.weight"]
        self.assertTrue(torch.equal(narrow["down.0.ffn.up.weight"], weight[: 4 * 96, :96]))
        # Two streams side by side: the leading channels of each.
        skip = self.params["middle.2.skip.weight"]
        self.assertTrue(torch.equal(narrow["middle.2.skip.weight"], torch.cat([skip[:96, :96], skip[:96, 256 : 256 + 96]], 1)))
        self.assertIs(narrow["down.0.modulation.table"], self.params["w96.down.0.modulation.table"])

    def test_gradients_of_a_narrow_net_reach_the_shared_weights_that_it_uses_and_no_others(self):
        for value in self.params.values():
            value.requires_grad_()
        tokens, latent = torch.ones(1, 16, dtype=torch.long), torch.randn(1, 16, 8, 8, generator=seeded())
        net = model.Net(model.cut(self.params, 128))
        net.denoise(latent, model.time_features(torch.ones(1)), net.encode_text(tokens)).square().sum().backward()
        grad = self.params["down.0.ffn.up.weight"].grad
        self.assertGreater(float(grad[:512, :128].abs().max()), 0)
        self.assertEqual(float(grad[512:].abs().max()) + float(grad[:, 128:].abs().max()), 0)

    def test_the_shares_of_a_batch_have_the_gradient_of_the_whole(self):
        for value in self.params.values():
            value.requires_grad_()
        generator = seeded()
        batch = (
            torch.randn(4, 16, 8, 8, generator=generator),
            torch.randint(3, 2000, (4, 16), generator=generator),
            train.noise_levels(4, 0.5, generator, CPU),
            torch.randn(4, 16, 8, 8, generator=generator),
        )

        def gradient(rows: slice) -> torch.Tensor:
            loss, _ = train.step_loss(self.params, model.WIDTHS[1:], *(value[rows] for value in batch))
            names = [name for name, value in self.params.items()]
            found = torch.autograd.grad(loss, [self.params[name] for name in names])
            return torch.cat([value.flatten() for value in found])

        whole = gradient(slice(None))
        shares = (gradient(slice(0, None, 2)) + gradient(slice(1, None, 2))) / 2
        self.assertLess(float((whole - shares).norm() / whole.norm()), 1e-5)

    def test_sampling_walks_down_the_noise_levels(self):
        self.assertEqual(model.sigmas(4), [1, 0.75, 0.5, 0.25, 0])
        self.assertEqual(model.sigmas(2, 3.0), [1, 0.75, 0])


class Runs(unittest.TestCase):
    """The script itself, started, stopped and started again."""

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def trained(self, name: str, *runs: list[str]) -> dict:
        """The state after these runs, one after the other in one WORK folder."""
        work = self.folder / name
        work.mkdir()
        little_work(work)
        for command in runs:
            own = ["--work", str(work), "--batch", "4", "--again", "2", "--narrow-every", "1", "--save", "2"]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
            done = subprocess.run(
                [sys.executable, *command, *own], cwd=HERE, env=environment, capture_output=True, text=True, timeout=300
            )
            self.assertEqual(done.returncode, 0, done.stderr)
        return common.load(work / "denoiser.pt", CPU)

    def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(self):
        killed = ["-c", KILLED_AFTER_ITS_FIRST_SAVE, "--steps", "3"]
        self.assertEqual(self.trained("stopped", killed)["step"], 2)
        whole = self.trained("whole", ["train.py", "--steps", "3"])
        again = self.trained("again", killed, ["train.py", "--steps", "3"])
        self.assertEqual((whole["step"], again["step"]), (3, 3))
        for name, value in whole["params"].items():
            self.assertTrue(torch.equal(value, again["params"][name]), name)
        self.assertTrue(torch.equal(whole["generator"], again["generator"]))

    def test_two_processes_train_as_one_does(self):
        one = self.trained("one", ["train.py", "--steps", "2"])["params"]
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        two = self.trained("two", [*torchrun, "train.py", "--steps", "2"])["params"]
        start = model.init(torch.Generator().manual_seed(1))

        def distance(a: common.Params, b: common.Params) -> float:
            return float(torch.cat([(a[name] - b[name]).flatten() for name in start]).norm())

        self.assertGreater(distance(start, one), 0)
        # Adam divides by a gradient's own size: where one is nearly 0, the order of a sum decides its sign.
        self.assertLess(distance(one, two), 0.05 * distance(start, one))


KILLED_AFTER_ITS_FIRST_SAVE = """
import common, os, train
save = common.save
def save_and_die(path, state):
    save(path, state)
    os._exit(0)
common.save = save_and_die
train.main()
"""


class Latents(unittest.TestCase):
    def test_an_encoder_fitted_to_latents_finds_them(self):
        images = torch.rand(8, 3, 64, 64, generator=seeded())
        # Latents that a linear map of the patches gives exactly.
        wanted = torch.nn.functional.conv2d(images - 0.5, torch.randn(16, 3, 8, 8, generator=seeded(2)) / 8, stride=8)
        encoder = tune_decoder.fit_encoder(images, wanted, 0, seeded())
        error = (ae.encode(encoder, images) - wanted).square().mean() / wanted.square().mean()
        self.assertLess(float(error), 0.05)

    def test_shipped_latents_are_taken_and_missing_ones_come_from_the_encoder(self):
        with tempfile.TemporaryDirectory() as folder:
            from safetensors.torch import save_file

            little_work(Path(folder))
            pictures = common.Data(Path(folder) / "data.npz", CPU)
            components, mean = ae.patch_components(pictures.pixels(torch.arange(len(pictures))))
            encoder = ae.init_encoder(seeded(), components, mean)
            encoder |= {"encoder.mean": torch.zeros(1, 16, 1, 1), "encoder.std": torch.ones(1, 16, 1, 1)}
            save_file({name: value.contiguous() for name, value in encoder.items()}, Path(folder) / "encoder.safetensors")
            shipped = torch.randn(4, 16, 8, 8, generator=seeded(3)).half()
            save_file({"latents": shipped}, Path(folder) / "latents.safetensors")
            found = tune_decoder.start_latents(Path(folder), {}, pictures, None)
            self.assertTrue(torch.equal(found[:4], shipped.float()))
            rest = ae.encode(encoder, pictures.pixels(torch.arange(4, 6)))
            self.assertTrue(torch.equal(found[4:], rest))


class Distillation(unittest.TestCase):
    def test_the_distribution_loss_pulls_from_the_critic_to_the_teacher(self):
        class Says:
            def __init__(self, value: float):
                self.value = value

            def encode_text(self, tokens):
                return tokens

            def denoise(self, noisy, features, text):
                return torch.full_like(noisy, self.value)

        made = torch.zeros(2, 16, 8, 8, requires_grad=True)
        loss = distill.distribution_loss(made, Says(1.0), Says(-1.0), None, torch.full((2,), 0.5), torch.zeros(2, 16, 8, 8))
        loss.backward()
        # The critic says 1, the teacher -1, a distance of 1 from what was made: the way to go is down.
        self.assertTrue(bool((made.grad > 0).all()))

    def test_a_walk_of_all_levels_is_sampling(self):
        params = model.init(seeded())
        tokens, noise = torch.ones(2, 16, dtype=torch.long), torch.randn(2, 16, 8, 8, generator=seeded())
        with torch.no_grad():
            walked = distill.walk(model.Net(params), tokens, noise, model.sigmas(4), 4)
        self.assertTrue(torch.allclose(walked, model.sample(params, tokens, noise, 4), atol=1e-5))


class FewBits(unittest.TestCase):
    def setUp(self):
        self.weight = torch.randn(32, 64, generator=seeded())

    def test_errors_are_at_most_half_a_step_of_the_group(self):
        largest = self.weight.reshape(-1, quantize.GROUP).abs().amax(1, keepdim=True)
        for few, step in ((quantize.q8, largest / 127), (quantize.q4, largest / 8)):
            error = (few(self.weight) - self.weight).reshape(-1, quantize.GROUP).abs()
            # q4's largest value of the other sign is cut off a whole step early. Scales are rounded to f16.
            bound = step * (0.5 if few is quantize.q8 else 1.0) + largest * 2**-10
            self.assertTrue(bool((error <= bound).all()), few.__name__)

    def test_quantizing_again_changes_nothing(self):
        for few in (quantize.q4, quantize.q8):
            once = few(self.weight)
            self.assertTrue(torch.allclose(few(once), once, rtol=2**-9))

    def test_a_palette_has_sixteen_values(self):
        self.assertLessEqual(len(quantize.palette4(self.weight).unique()), 16)

    def test_mixed_spends_its_budget_on_the_most_sensitive(self):
        params = {name: torch.zeros(10, 10) for name in ("a", "b", "c", "d")}
        # 4.3 bits of 400 elements: eight bits for 30 of them; 5 bits: for one tensor of four.
        self.assertEqual(quantize.choose(params, {"a": 1, "b": 2, "c": 3, "d": 4}), set())
        self.assertEqual(quantize.choose(params, {"a": 1, "b": 2, "c": 3, "d": 4}, 5.0), {"d"})


class Saving(unittest.TestCase):
    def test_a_failed_save_leaves_the_earlier_state(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state.pt"
            common.save(path, {"step": 1})
            with self.assertRaises(Exception):
                common.save(path, {"step": lambda: 2})
            self.assertEqual(common.load(path, CPU), {"step": 1})

    def test_a_log_is_lines_of_json(self):
        import json

        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            path = Path(folder) / "log"
            common.log(path, step=1, loss=0.5)
            common.log(path, step=2, loss=0.25)
            self.assertEqual([json.loads(line) for line in path.read_text().splitlines()][1], {"step": 2, "loss": 0.25})


if __name__ == "__main__":
    unittest.main()
