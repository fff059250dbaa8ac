//! Bilinear resizing with antialias on 8-bit RGB, equal to torchvision's on
//! uint8 tensors: columns first, rounded to bytes between the passes, then
//! rows, with 16-bit fixed-point weights.

/// Weights of one dimension.
struct Weights {
    /// For each output, its first input and its taps in `taps`.
    windows: Vec<Window>,
    taps: Vec<i16>,
    /// Fraction bits of a tap.
    precision: u32,
}

struct Window {
    first: usize,
    taps: std::ops::Range<usize>,
}

impl Weights {
    fn new(input: usize, output: usize) -> Self {
        let scale = input as f64 / output as f64;
        let support = scale.max(1.0);
        let mut windows = Vec::with_capacity(output);
        let mut exact = Vec::new();
        let mut largest: f64 = 0.0;
        for i in 0..output {
            let center = scale * (i as f64 + 0.5);
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(input);
            let start = exact.len();
            exact.extend((first..end).map(|j| {
                let distance = (j as f64 - center + 0.5) / support;
                (1.0 - distance.abs()).max(0.0)
            }));
            let total: f64 = exact[start..].iter().sum();
            for weight in &mut exact[start..] {
                *weight /= total;
                largest = largest.max(*weight);
            }
            let taps = start..exact.len();
            windows.push(Window { first, taps });
        }
        let precision = fraction_bits(largest);
        let unit = f64::from(1u32 << precision);
        let taps = exact.iter().map(|w| (w * unit + 0.5) as i16).collect();
        Self {
            windows,
            taps,
            precision,
        }
    }
}

/// The most fraction bits that keep the largest weight inside an i16.
fn fraction_bits(largest: f64) -> u32 {
    let mut bits = 0;
    while bits < 22 && largest * f64::from(1u32 << (bits + 1)) + 0.5 < 32768.0 {
        bits += 1;
    }
    bits
}

fn to_byte(sum: i32, precision: u32) -> u8 {
    (sum >> precision).clamp(0, 255) as u8
}

/// Resizes a picture in two passes that may be cut into slices of rows.
///
/// All input rows go through [`Resizer::push_rows`], top to bottom; then
/// [`Resizer::output_rows`] gives any output rows.
pub struct Resizer {
    width: usize,
    columns: Weights,
    rows: Weights,
    /// Input rows with their columns resized: `[Y, X', 3]`.
    between: Vec<u8>,
    height: usize,
}

impl Resizer {
    /// Prepares to resize `size` to `new_size`, both (width, height).
    pub fn new(size: (usize, usize), new_size: (usize, usize)) -> Result<Self, String> {
        if size.0 == 0 || size.1 == 0 || new_size.0 == 0 || new_size.1 == 0 {
            return Err(format!(
                "sizes must be positive, they are {}x{} and {}x{}",
                size.0, size.1, new_size.0, new_size.1
            ));
        }
        let mut between = Vec::new();
        new_size
            .0
            .checked_mul(size.1)
            .and_then(|pixels| pixels.checked_mul(3))
            .and_then(|bytes| between.try_reserve_exact(bytes).ok())
            .ok_or_else(|| format!("there is no memory for {}x{}", new_size.0, size.1))?;
        Ok(Self {
            width: size.0,
            height: size.1,
            columns: Weights::new(size.0, new_size.0),
            rows: Weights::new(size.1, new_size.1),
            between,
        })
    }

    /// Takes the next input rows: `[rows, X, 3]`.
    pub fn push_rows(&mut self, input: &[u8]) -> Result<(), String> {
        let row_bytes = self.width * 3;
        let stride = self.columns.windows.len() * 3;
        let missing = self.height - self.between.len() / stride;
        if !input.len().is_multiple_of(row_bytes) || input.len() / row_bytes > missing {
            return Err(format!(
                "{} bytes are not whole rows of {row_bytes} bytes, at most {missing}",
                input.len()
            ));
        }
        let half = (1 << self.columns.precision) >> 1;
        for row in input.chunks_exact(row_bytes) {
            for window in &self.columns.windows {
                let taps = &self.columns.taps[window.taps.clone()];
                let pixels = row[window.first * 3..].chunks_exact(3);
                let mut sums = [half; 3];
                for (pixel, &tap) in pixels.zip(taps) {
                    for (sum, &value) in sums.iter_mut().zip(pixel) {
                        *sum += i32::from(value) * i32::from(tap);
                    }
                }
                let bytes = sums.map(|sum| to_byte(sum, self.columns.precision));
                self.between.extend_from_slice(&bytes);
            }
        }
        Ok(())
    }

    /// Computes output rows `first .. first + count`: `[count, X', 3]`.
    pub fn output_rows(&self, first: usize, count: usize) -> Result<Vec<u8>, String> {
        let stride = self.columns.windows.len() * 3;
        if self.between.len() != self.height * stride {
            return Err("not all input rows have been pushed".into());
        }
        let windows = first
            .checked_add(count)
            .and_then(|end| self.rows.windows.get(first..end))
            .ok_or_else(|| format!("there are {} output rows", self.rows.windows.len()))?;
        let half = (1 << self.rows.precision) >> 1;
        let mut out = Vec::with_capacity(count * stride);
        let mut sums = vec![0i32; stride];
        for window in windows {
            sums.fill(half);
            let inputs = self.between[window.first * stride..].chunks_exact(stride);
            for (input, &tap) in inputs.zip(&self.rows.taps[window.taps.clone()]) {
                for (sum, &value) in sums.iter_mut().zip(input) {
                    *sum += i32::from(value) * i32::from(tap);
                }
            }
            out.extend(sums.iter().map(|&sum| to_byte(sum, self.rows.precision)));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resize(data: &[u8], size: (usize, usize), new_size: (usize, usize)) -> Vec<u8> {
        let mut resizer = Resizer::new(size, new_size).unwrap();
        resizer.push_rows(data).unwrap();
        resizer.output_rows(0, new_size.1).unwrap()
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 24) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn resize_to_the_same_size_changes_nothing() {
        for size in [(1, 1), (3, 5), (17, 4)] {
            let data = noise(size.0 * size.1 * 3);
            assert_eq!(resize(&data, size, size), data);
        }
    }

    #[test]
    fn resize_keeps_flat_colors() {
        for new_size in [(1, 1), (2, 9), (31, 3)] {
            let flat = resize(&[200; 7 * 5 * 3], (7, 5), new_size);
            assert!(flat.iter().all(|&v| v == 200), "{new_size:?}");
        }
    }

    #[test]
    fn slices_give_what_one_pass_gives() {
        let data = noise(19 * 11 * 3);
        let mut resizer = Resizer::new((19, 11), (8, 6)).unwrap();
        resizer.push_rows(&data[..19 * 3 * 4]).unwrap();
        assert!(resizer.output_rows(0, 1).is_err());
        resizer.push_rows(&data[19 * 3 * 4..]).unwrap();
        let mut sliced = resizer.output_rows(0, 2).unwrap();
        sliced.extend(resizer.output_rows(2, 4).unwrap());
        assert_eq!(sliced, resize(&data, (19, 11), (8, 6)));
    }

    #[test]
    fn resizer_refuses_what_does_not_fit() {
        assert!(Resizer::new((0, 1), (1, 1)).is_err());
        let mut resizer = Resizer::new((2, 2), (1, 1)).unwrap();
        assert!(resizer.push_rows(&[0; 5]).is_err());
        assert!(resizer.push_rows(&[0; 18]).is_err());
        resizer.push_rows(&[0; 12]).unwrap();
        assert!(resizer.output_rows(1, 1).is_err());
        assert!(resizer.output_rows(usize::MAX, 2).is_err());
    }
}
