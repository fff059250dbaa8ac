//! Rows of a component at the picture's resolution, and their colours, with
//! libjpeg's triangle filter and rounding.

/// Samples of a component.
pub struct Plane {
    pub samples: Vec<u8>,
    /// Samples from a row to the next.
    pub stride: usize,
    /// Samples that belong to the picture; the others fill up blocks.
    pub width: usize,
    pub height: usize,
    /// Pixels per sample.
    pub x_factor: usize,
    pub y_factor: usize,
}

impl Plane {
    fn row(&self, y: usize) -> &[u8] {
        &self.samples[y.min(self.height - 1) * self.stride..][..self.width]
    }

    /// Row `y` of the picture; `out` has room for `width * x_factor`.
    pub fn upsample(&self, y: usize, out: &mut [u8]) {
        let row = self.row(y / self.y_factor);
        let smooth = self.width > 2;
        match (self.x_factor, self.y_factor) {
            (1, 1) => out[..row.len()].copy_from_slice(row),
            (2, 1) if smooth => widen(row, out),
            (2, 2) if smooth => widen_between(row, self.neighbour(y), out),
            (1, 2) => {
                let bias = 1 + (y % 2) as u16;
                for ((to, &near), &far) in out.iter_mut().zip(row).zip(self.neighbour(y)) {
                    *to = ((3 * u16::from(near) + u16::from(far) + bias) >> 2) as u8;
                }
            }
            (factor, _) => {
                for (to, &sample) in out.chunks_exact_mut(factor).zip(row) {
                    to.fill(sample);
                }
            }
        }
    }

    /// The second nearest row where two rows of pixels share one of samples.
    fn neighbour(&self, y: usize) -> &[u8] {
        self.row(if y.is_multiple_of(2) {
            (y / 2).saturating_sub(1)
        } else {
            y / 2 + 1
        })
    }
}

/// Twice as many samples, each 3/4 of the nearest and 1/4 of the next.
fn widen(row: &[u8], out: &mut [u8]) {
    let last = row.len() - 1;
    for (i, pair) in out.chunks_exact_mut(2).take(row.len()).enumerate() {
        let near = 3 * u16::from(row[i]);
        let left = u16::from(row[i.saturating_sub(1)]);
        let right = u16::from(row[last.min(i + 1)]);
        pair[0] = ((near + left + 1) >> 2) as u8;
        pair[1] = ((near + right + 2) >> 2) as u8;
    }
    out[0] = row[0];
    out[2 * last + 1] = row[last];
}

/// As [`widen`], in both directions at once.
fn widen_between(row: &[u8], other: &[u8], out: &mut [u8]) {
    let last = row.len() - 1;
    let sum = |i: usize| 3 * u16::from(row[i]) + u16::from(other[i]);
    let (mut left, mut near) = (sum(0), sum(0));
    for (i, pair) in out.chunks_exact_mut(2).take(row.len()).enumerate() {
        let right = sum(last.min(i + 1));
        pair[0] = ((3 * near + left + 8) >> 4) as u8;
        pair[1] = ((3 * near + right + 7) >> 4) as u8;
        (left, near) = (near, right);
    }
}

/// What the components are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    Grey,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

/// Appends a row of pixels as RGB. Inks are stored inverted, as Pillow takes
/// them to be.
pub fn push_rgb(colors: Colors, rows: &[Vec<u8>], width: usize, out: &mut Vec<u8>) {
    match (colors, rows) {
        (Colors::Grey, [grey]) => {
            out.extend(grey[..width].iter().flat_map(|&value| [value; 3]));
        }
        (Colors::Rgb, [red, green, blue]) => {
            out.extend((0..width).flat_map(|x| [red[x], green[x], blue[x]]));
        }
        (Colors::YCbCr, [y, cb, cr]) => {
            out.extend((0..width).flat_map(|x| ycc_to_rgb(y[x], cb[x], cr[x])));
        }
        (Colors::Cmyk, [c, m, y, k]) => out.extend(
            (0..width).flat_map(|x| inks_to_rgb([c[x], m[x], y[x]].map(|ink| 255 - ink), k[x])),
        ),
        (Colors::Ycck, [y, cb, cr, k]) => {
            out.extend((0..width).flat_map(|x| inks_to_rgb(ycc_to_rgb(y[x], cb[x], cr[x]), k[x])))
        }
        _ => {}
    }
}

/// Fixed point of 16 bits, rounded as in libjpeg.
fn ycc_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let y = i32::from(y);
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    [
        y + ((91_881 * cr + HALF) >> 16),
        y + ((-22_554 * cb - 46_802 * cr + HALF) >> 16),
        y + ((116_130 * cb + HALF) >> 16),
    ]
    .map(|value| value.clamp(0, 255) as u8)
}

/// Amounts of cyan, magenta and yellow over what black leaves, with Pillow's
/// rounding.
fn inks_to_rgb(inks: [u8; 3], light: u8) -> [u8; 3] {
    let light = i32::from(light);
    inks.map(|ink| {
        let product = i32::from(ink) * light + 128;
        let absorbed = ((product >> 8) + product) >> 8;
        (light - absorbed).clamp(0, 255) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upsampled(samples: &[u8], width: usize, factors: (usize, usize), y: usize) -> Vec<u8> {
        let plane = Plane {
            samples: samples.to_vec(),
            stride: width,
            width,
            height: samples.len() / width,
            x_factor: factors.0,
            y_factor: factors.1,
        };
        let mut out = vec![0; width * factors.0];
        plane.upsample(y, &mut out);
        out
    }

    #[test]
    fn upsample_filters_as_a_triangle() {
        let row = [0, 100, 40];
        assert_eq!(upsampled(&row, 3, (2, 1), 0), [0, 25, 75, 85, 55, 40]);
        assert_eq!(upsampled(&[0, 8], 1, (1, 2), 0), [0]);
        assert_eq!(upsampled(&[0, 8], 1, (1, 2), 1), [2]);
        assert_eq!(upsampled(&[0, 8], 1, (1, 2), 2), [6]);
        let two_rows = [0, 0, 0, 160, 160, 160];
        assert_eq!(upsampled(&two_rows, 3, (2, 2), 1), [40; 6]);
        assert_eq!(upsampled(&two_rows, 3, (2, 2), 3), [160; 6]);
    }

    #[test]
    fn upsample_repeats_where_there_is_no_filter() {
        assert_eq!(upsampled(&[7, 9], 2, (2, 1), 0), [7, 7, 9, 9]);
        assert_eq!(
            upsampled(&[7, 9, 5], 3, (3, 1), 0),
            [7, 7, 7, 9, 9, 9, 5, 5, 5]
        );
        assert_eq!(upsampled(&[7, 9], 1, (1, 4), 6), [9]);
    }

    #[test]
    fn colors_become_rgb() {
        assert_eq!(ycc_to_rgb(128, 128, 128), [128; 3]);
        assert_eq!(ycc_to_rgb(76, 85, 255), [254, 0, 0]);
        assert_eq!(inks_to_rgb([0, 0, 0], 255), [255, 255, 255]);
        assert_eq!(inks_to_rgb([255, 0, 0], 255), [0, 255, 255]);
        assert_eq!(inks_to_rgb([9, 99, 200], 0), [0, 0, 0]);
        assert_eq!(inks_to_rgb([0, 128, 255], 200), [200, 100, 0]);
    }
}
