//! Random damage: every cut of a sound file, and thousands of deterministic mutations of it.

use halfbyte::gguf::{Gguf, GgufError};

use super::{open, sound};

#[test]
fn every_cut_is_refused() {
    let (writer, file) = (sound(), sound().build());
    for len in 0..file.len() {
        let error = open(file[..len].to_vec()).expect_err("a cut file must be refused");
        let in_header = matches!(error, GgufError::Truncated { .. } | GgufError::CountTooLarge { .. });
        let in_data = matches!(error, GgufError::OutsideFile { .. });
        assert!(if len < writer.header_len() { in_header } else { in_data }, "{len}: {error:?}");
    }
}

/// A deterministic source of numbers: xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// One to three changes: a flipped bit, an extreme number over 8 or 4 bytes, a cut; most of them in
/// the header.
fn mutate(file: &mut Vec<u8>, header_len: usize, random: &mut Random) {
    const EXTREMES: [u64; 10] =
        [0, 1, 33, u32::MAX as u64, 1 << 31, 1 << 32, 1 << 62, 1 << 63, u64::MAX - 31, u64::MAX];
    for _ in 0..1 + random.below(3) {
        let end = [24, header_len, header_len, file.len()][random.below(4)];
        let at = random.below(end.min(file.len()).max(1));
        let extreme = match random.below(3) {
            0 => 1 << random.below(64),
            1 => random.below(file.len().max(1)) as u64,
            _ => EXTREMES[random.below(EXTREMES.len())],
        };
        let width = match random.below(12) {
            0 => return file.truncate(at),
            1..=5 => 8,
            6..=7 => 4,
            _ => 0,
        };
        for (byte, new) in file.iter_mut().skip(at).zip(extreme.to_le_bytes()).take(width) {
            *byte = new;
        }
        if let (0, Some(byte)) = (width, file.get_mut(at)) {
            *byte ^= 1 << random.below(8);
        }
    }
}

/// Touches both ends of every view and checks that no two share a byte.
fn read_to_the_ends(gguf: &Gguf) {
    let mut ranges = Vec::new();
    for info in gguf.tensors() {
        let view = gguf.tensor(&info.name).unwrap();
        let bytes = view.bytes();
        assert_eq!(bytes.len() as u64, info.n_bytes());
        assert_eq!((view.rows() * view.cols()) as u64, info.n_elements());
        assert_eq!(bytes.as_ptr() as usize % 8, 0);
        let ends = [bytes.first(), bytes.last()].map(|byte| byte.copied());
        assert!(ends.iter().all(Option::is_some), "{} is empty", info.name);
        ranges.push(bytes.as_ptr_range());
    }
    ranges.sort_by_key(|range| range.start);
    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
    for (key, value) in gguf.metadata() {
        assert!(gguf.get(key).is_some_and(|found| std::ptr::eq(found, value)));
    }
}

#[test]
fn ten_thousand_mutations_neither_panic_nor_escape_the_file() {
    let (file, header_len) = (sound().build(), sound().header_len());
    let mut random = Random(0x1234_5678_9abc_def1);
    let (mut opened, mut refused) = (0, 0);
    for _ in 0..10_000 {
        let mut mutant = file.clone();
        mutate(&mut mutant, header_len, &mut random);
        match open(mutant) {
            Ok(gguf) => {
                opened += 1;
                read_to_the_ends(&gguf);
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(opened > 500 && refused > 5_000, "opened {opened}, refused {refused}");
}
