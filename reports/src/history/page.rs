//! One self-contained HTML page of series.
