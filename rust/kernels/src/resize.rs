//! Pictures `[Y, X, C]` at another size.

use crate::elementwise::zip;
use crate::simd::F32x4;

/// A picture and the size it is to have.
#[derive(Clone, Copy)]
pub struct Resize<'a> {
    pub x: &'a [f32],
    pub from: [usize; 2],
    pub to: [usize; 2],
    pub channels: usize,
}

impl<'a> Resize<'a> {
    fn place(&self, y: usize, x: usize) -> &'a [f32] {
        &self.x[(y * self.from[1] + x) * self.channels..][..self.channels]
    }
}

/// Places of the result from `first` on, each a copy of place floor(i * from / to).
pub fn resize_nearest(picture: &Resize, first: usize, out: &mut [f32]) {
    let [from, to] = [picture.from, picture.to];
    for (row, index) in out.chunks_exact_mut(picture.channels).zip(first..) {
        let (y, x) = (index / to[1], index % to[1]);
        row.copy_from_slice(picture.place(y * from[0] / to[0], x * from[1] / to[1]));
    }
}

/// Places of the result from `first` on, between their four neighbours, with
/// half-pixel centres.
pub fn resize_bilinear(picture: &Resize, first: usize, out: &mut [f32]) {
    for (row, index) in out.chunks_exact_mut(picture.channels).zip(first..) {
        let (y, x) = (index / picture.to[1], index % picture.to[1]);
        let (y0, y1, wy) = neighbours(y, picture.from[0], picture.to[0]);
        let (x0, x1, wx) = neighbours(x, picture.from[1], picture.to[1]);
        blend(picture.place(y0, x0), picture.place(y0, x1), wx, row);
        let (wy, vy) = (F32x4::splat(wy), F32x4::splat(1.0 - wy));
        let (wx, vx) = (F32x4::splat(wx), F32x4::splat(1.0 - wx));
        let (c, d) = (picture.place(y1, x0), picture.place(y1, x1));
        for i in (0..row.len()).step_by(4) {
            let end = row.len().min(i + 4);
            let at = |x: &[f32]| F32x4::load_partial(&x[i..end]);
            let below = at(c) * vx + at(d) * wx;
            (at(row) * vy + below * wy).store_partial(&mut row[i..end]);
        }
    }
}

fn blend(a: &[f32], b: &[f32], weight: f32, out: &mut [f32]) {
    let (w, v) = (F32x4::splat(weight), F32x4::splat(1.0 - weight));
    zip(a, b, out, |a, b| a * v + b * w);
}

/// The two places that index i of the result lies between, and the weight of the second.
fn neighbours(i: usize, from: usize, to: usize) -> (usize, usize, f32) {
    let scale = from as f32 / to as f32;
    let source = (scale * (i as f32 + 0.5) - 0.5).max(0.0);
    let low = (source as usize).min(from - 1);
    (low, (low + 1).min(from - 1), (source - low as f32).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_takes_the_floor() {
        let x: Vec<f32> = (0..6).map(|i| i as f32).collect();
        let picture = Resize { x: &x, from: [2, 3], to: [4, 2], channels: 1 };
        let mut out = vec![0.0; 8];
        resize_nearest(&picture, 0, &mut out);
        assert_eq!(out, [0.0, 1.0, 0.0, 1.0, 3.0, 4.0, 3.0, 4.0]);
    }

    #[test]
    fn bilinear_lies_between() {
        let x = [0.0, 10.0, 4.0, 20.0, 4.0, 40.0, 8.0, 60.0];
        let picture = Resize { x: &x, from: [2, 2], to: [4, 4], channels: 2 };
        let mut out = vec![0.0; 10];
        resize_bilinear(&picture, 1, &mut out);
        // Columns sit at 0, 0.25, 0.75, 1; the second row at 0.25.
        assert_eq!(out, [1.0, 12.5, 3.0, 17.5, 4.0, 20.0, 1.0, 17.5, 2.0, 20.625]);
    }
}
