//! Between an image and tokens, within rank 5.

use ditbench_graph::{GraphBuilder, ValueId};

/// Image `[B, C, rows·p, cols·p]` → tokens `[B, rows·cols, p·p·C]`, a patch row by row with its channels innermost.
pub(crate) fn patchify(b: &mut GraphBuilder, x: ValueId, p: usize) -> ValueId {
    let &[batch, channels, h, w] = b.shape(x) else { return x };
    let x = b.transpose("channels_last", x, &[0, 2, 3, 1]);
    let x = b.reshape("patch_rows", x, &[batch * h / p, p, w / p, p * channels]);
    let x = b.transpose("gather", x, &[0, 2, 1, 3]);
    b.reshape("patches", x, &[batch, h / p * (w / p), p * p * channels])
}

/// Tokens `[B, rows·cols, p·p·C]` → image `[B, C, rows·p, cols·p]`: the inverse of [`patchify`].
pub(crate) fn unpatchify(b: &mut GraphBuilder, x: ValueId, (rows, cols): (usize, usize), p: usize) -> ValueId {
    let (batch, channels) = (b.shape(x)[0], b.shape(x)[2] / (p * p));
    let x = b.reshape("patches", x, &[batch * rows, cols, p, p * channels]);
    let x = b.transpose("scatter", x, &[0, 2, 1, 3]);
    let x = b.reshape("pixels", x, &[batch, rows * p, cols * p, channels]);
    b.transpose("channels_first", x, &[0, 3, 1, 2])
}
