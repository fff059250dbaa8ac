//! Columns of rows, copied: `columns`, `concatColumns`, `stack`.

use crate::rows::RowsMut;

/// Rows of `x`, `stride` apart, into rows of `out`.
pub fn copy_columns(x: &[f32], stride: usize, out: &mut RowsMut) {
    let width = out.width();
    for row in 0..out.rows() {
        out.row(row).copy_from_slice(&x[row * stride..][..width]);
    }
}
