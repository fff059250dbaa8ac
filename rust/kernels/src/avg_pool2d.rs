//! Means over blocks of a picture `[Y, X, C]`.

/// Places of the result from `first` on; `columns` of the picture, blocks of `size`.
pub fn avg_pool2d(
    x: &[f32],
    columns: usize,
    channels: usize,
    size: [usize; 2],
    first: usize,
    out: &mut [f32],
) {
    let count = (size[0] * size[1]) as f32;
    let out_columns = columns / size[1];
    for (row, index) in out.chunks_exact_mut(channels).zip(first..) {
        let corner = index / out_columns * size[0] * columns + index % out_columns * size[1];
        row.fill(0.0);
        for place in (0..size[0]).flat_map(|y| (0..size[1]).map(move |x| y * columns + x)) {
            let source = &x[(corner + place) * channels..][..channels];
            for (sum, v) in row.iter_mut().zip(source) {
                *sum += v;
            }
        }
        for sum in row {
            *sum /= count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_blocks() {
        let x: Vec<f32> = (0..4 * 6 * 2).map(|i| i as f32).collect();
        let mut out = vec![0.0; 3 * 2];
        avg_pool2d(&x, 6, 2, [2, 3], 1, &mut out);
        // The second block covers columns 3..6 of rows 0..2.
        assert_eq!(out[..2], [14.0, 15.0]);
        assert_eq!(out[2..4], [32.0, 33.0]);
    }
}
