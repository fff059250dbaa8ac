//! Rows of one source to places of the result.

/// `out[targets[i] - first] = source[rows[i]]`, rows of `width`; `pairs` are
/// `[target, row]`, `first` is the target of the first row of `out`.
pub fn gather_rows(
    source: &[f32],
    pairs: &[[u32; 2]],
    width: usize,
    first: usize,
    out: &mut [f32],
) {
    for pair in pairs {
        let [target, row] = pair.map(|i| i as usize);
        let target = (target - first) * width;
        out[target..target + width].copy_from_slice(&source[row * width..][..width]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_other_rows_alone() {
        let source = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut out = [0.0; 6];
        gather_rows(&source, &[[4, 2], [6, 0]], 2, 4, &mut out);
        assert_eq!(out, [5.0, 6.0, 0.0, 0.0, 1.0, 2.0]);
    }
}
