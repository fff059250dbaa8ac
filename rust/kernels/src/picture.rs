//! Where the kernel of a convolution meets the picture `[Y, X, C]`.

use core::ops::Range;

/// A picture and a window that steps over it, with zeros around.
#[derive(Clone, Copy)]
pub struct Windows<'a, T = f32> {
    /// `[size[0], size[1], channels]`.
    pub x: &'a [T],
    pub size: [usize; 2],
    /// Elements of a place.
    pub channels: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Zeros above and to the left.
    pub padding: [usize; 2],
    /// Columns of the result.
    pub columns: usize,
}

impl<T: Copy + Default> Windows<'_, T> {
    /// Rows and columns of the kernel that lie inside the picture for place
    /// `index` of the result; the rest meets zeros.
    pub fn inside(&self, index: usize) -> [Range<usize>; 2] {
        let place = [index / self.columns, index % self.columns];
        core::array::from_fn(|axis| {
            let start = place[axis] * self.stride[axis];
            let first = self.padding[axis].saturating_sub(start);
            let end = (self.size[axis] + self.padding[axis]).saturating_sub(start);
            first..self.kernel[axis].min(end).max(first)
        })
    }

    /// Index in the picture of the first element inside.
    pub fn corner(&self, index: usize, [ys, xs]: &[Range<usize>; 2]) -> usize {
        let y = (index / self.columns * self.stride[0] + ys.start).saturating_sub(self.padding[0]);
        let x = (index % self.columns * self.stride[1] + xs.start).saturating_sub(self.padding[1]);
        (y * self.size[1] + x) * self.channels
    }

    /// The window of place `index`, `[KY, KX, C]`.
    pub fn copy_window(&self, index: usize, row: &mut [T]) {
        let inside = self.inside(index);
        let mut from = self.corner(index, &inside);
        let [ys, xs] = inside;
        let whole = ys.len() == self.kernel[0] && xs.len() == self.kernel[1];
        if !whole {
            row.fill(T::default());
        }
        let n = xs.len() * self.channels;
        for ky in ys {
            let to = (ky * self.kernel[1] + xs.start) * self.channels;
            row[to..to + n].copy_from_slice(&self.x[from..from + n]);
            from += self.size[1] * self.channels;
        }
    }
}
