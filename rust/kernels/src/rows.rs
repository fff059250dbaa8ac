//! A chunk's part of a result: some columns of some rows. Chunks of one
//! command own disjoint parts, interleaved in memory.

use core::marker::PhantomData;

/// Mutable columns of consecutive rows of a matrix.
pub struct RowsMut<'a> {
    first: *mut f32,
    rows: usize,
    stride: usize,
    width: usize,
    owner: PhantomData<&'a mut [f32]>,
}

impl<'a> RowsMut<'a> {
    /// Columns `first .. first + width` of a matrix with rows of `stride`.
    #[cfg(test)]
    pub fn new(matrix: &'a mut [f32], stride: usize, first: usize, width: usize) -> Self {
        assert!(first + width <= stride && matrix.len().is_multiple_of(stride));
        let rows = matrix.len() / stride;
        // SAFETY: the part lies within the matrix, which is borrowed for 'a.
        unsafe { Self::from_raw(matrix.as_mut_ptr().add(first), rows, stride, width) }
    }

    /// All of one row.
    #[cfg(test)]
    pub fn of_row(row: &'a mut [f32]) -> Self {
        let width = row.len();
        // SAFETY: the row is borrowed for 'a.
        unsafe { Self::from_raw(row.as_mut_ptr(), 1, width, width) }
    }

    /// # Safety
    ///
    /// `width` elements every `stride` from `first` on, `rows` times, must be
    /// valid for 'a and reached through nothing else.
    pub unsafe fn from_raw(first: *mut f32, rows: usize, stride: usize, width: usize) -> Self {
        let owner = PhantomData;
        Self { first, rows, stride, width, owner }
    }

    /// Columns `first .. first + width` of these.
    pub fn columns(&mut self, first: usize, width: usize) -> RowsMut<'_> {
        assert!(first + width <= self.width);
        // SAFETY: the columns are among these, which are borrowed.
        unsafe { RowsMut::from_raw(self.first.add(first), self.rows, self.stride, width) }
    }

    /// Number of rows.
    #[inline(always)]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[inline(always)]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The columns of row `index`.
    #[inline(always)]
    pub fn row(&mut self, index: usize) -> &mut [f32] {
        assert!(index < self.rows);
        // SAFETY: the row is in range, and the borrow of self keeps it alone.
        unsafe { core::slice::from_raw_parts_mut(self.first.add(index * self.stride), self.width) }
    }
}
