//! Checks the codebooks of a Vorbis setup header before the decoder sees them.
//! A few damaged bits may claim tables of gigabytes; no encoder makes large
//! ones.

/// Values and entries of all codebooks of a stream; real ones stay far below.
const MAX_VALUES: u64 = 1 << 20;
const MAX_ENTRIES: u64 = 1 << 17;

const SIGNATURE: &[u8] = b"\x05vorbis";
const SYNC: u32 = 0x56_4342;

/// Refuses tables beyond what any encoder makes.
pub fn check_codebooks(setup: &[u8]) -> Result<(), String> {
    let body = setup
        .strip_prefix(SIGNATURE)
        .ok_or_else(|| "the Vorbis setup header is missing".to_string())?;
    read_all(&mut Bits { body, at: 0 })
        .ok_or_else(|| "the Vorbis setup header ends early".to_string())?
        .map_err(|problem| format!("the Vorbis setup header is damaged: {problem}"))
}

/// `None` when the header ends.
fn read_all(bits: &mut Bits) -> Option<Result<(), &'static str>> {
    let count = bits.read(8)? + 1;
    let (mut values, mut all_entries) = (0, 0);
    for _ in 0..count {
        if bits.read(24)? != SYNC {
            return Some(Err("a codebook has no sync pattern"));
        }
        let dimensions = u64::from(bits.read(16)?);
        let entries = u64::from(bits.read(24)?);
        all_entries += entries;
        values += entries * dimensions;
        if values > MAX_VALUES || all_entries > MAX_ENTRIES {
            return Some(Err("the codebooks claim too many values"));
        }
        skip_lengths(bits, entries as u32)?;
        if let Err(problem) = skip_vectors(bits, entries, dimensions)? {
            return Some(Err(problem));
        }
    }
    Some(Ok(()))
}

fn skip_lengths(bits: &mut Bits, entries: u32) -> Option<()> {
    if bits.read(1)? == 1 {
        // Runs of entries of rising lengths.
        bits.read(5)?;
        let mut entry = 0;
        while entry < entries {
            entry += bits.read(32 - (entries - entry).leading_zeros())?;
        }
        return Some(());
    }
    let sparse = bits.read(1)? == 1;
    for _ in 0..entries {
        if !sparse || bits.read(1)? == 1 {
            bits.read(5)?;
        }
    }
    Some(())
}

fn skip_vectors(
    bits: &mut Bits,
    entries: u64,
    dimensions: u64,
) -> Option<Result<(), &'static str>> {
    let kind = bits.read(4)?;
    if kind == 0 {
        return Some(Ok(()));
    }
    if kind > 2 {
        return Some(Err("a codebook has an unknown lookup type"));
    }
    bits.read(32)?;
    bits.read(32)?;
    let width = bits.read(4)? + 1;
    bits.read(1)?;
    let count = if kind == 1 {
        lattice_values(entries, dimensions)
    } else {
        entries * dimensions
    };
    for _ in 0..count {
        bits.read(width)?;
    }
    Some(Ok(()))
}

/// The largest number whose power by `dimensions` is at most `entries`.
fn lattice_values(entries: u64, dimensions: u64) -> u64 {
    let fits = |root: u64| {
        let mut power = 1u64;
        for _ in 0..dimensions {
            power = power.saturating_mul(root);
            if power > entries {
                return false;
            }
        }
        true
    };
    let mut root = 0;
    while root < entries && fits(root + 1) {
        root += 1;
    }
    root
}

/// Bits from the least significant on.
struct Bits<'a> {
    body: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next `count` bits, at most 32.
    fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for i in 0..count {
            let byte = self.body.get(self.at / 8)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << i;
            self.at += 1;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(fields: &[(u32, u32)]) -> Vec<u8> {
        let bits: Vec<bool> = fields
            .iter()
            .flat_map(|&(value, count)| (0..count).map(move |i| value >> i & 1 == 1))
            .collect();
        let bytes = bits.chunks(8).map(|byte| {
            byte.iter()
                .rev()
                .fold(0, |sum, &bit| sum << 1 | u8::from(bit))
        });
        SIGNATURE.iter().copied().chain(bytes).collect()
    }

    #[test]
    fn check_codebooks_reads_all_kinds_of_lengths() {
        let lookup = [(1, 4), (0, 32), (0, 32), (3, 4), (0, 1), (5, 4), (6, 4)];
        let plain = [(1, 8), (SYNC, 24), (2, 16), (4, 24), (0, 1), (0, 1)];
        let ordered = [
            (SYNC, 24),
            (1, 16),
            (5, 24),
            (1, 1),
            (2, 5),
            (4, 3),
            (1, 1),
            (0, 4),
        ];
        let lengths = [(1, 5); 4];
        let fields = [&plain[..], &lengths, &lookup, &ordered].concat();
        assert_eq!(check_codebooks(&setup(&fields)), Ok(()));
        let cut = &fields[..fields.len() - 4];
        assert!(check_codebooks(&setup(cut)).is_err());
    }

    #[test]
    fn check_codebooks_refuses_large_claims() {
        let claims = [(0, 8), (SYNC, 24), (0xffff, 16), (0xff_ffff, 24), (1, 1)];
        assert_eq!(
            check_codebooks(&setup(&claims)).unwrap_err(),
            "the Vorbis setup header is damaged: the codebooks claim too many values"
        );
        assert!(check_codebooks(b"\x05vorbis").is_err());
        assert!(check_codebooks(b"\x03vorbis").is_err());
    }

    #[test]
    fn lattice_values_is_a_whole_root() {
        assert_eq!(lattice_values(81, 4), 3);
        assert_eq!(lattice_values(80, 4), 2);
        assert_eq!(lattice_values(7, 1), 7);
        assert_eq!(lattice_values(5, 0), 5);
    }
}
