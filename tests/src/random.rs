//! Random inputs that are the same in every run.

/// The generator SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
pub struct Random(u64);

impl Random {
    /// A generator that repeats itself for the same `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// `n` numbers, uniform in `-scale..scale`.
    pub fn values(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.value() * scale).collect()
    }

    /// A number, uniform in `-1..1`.
    pub fn value(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Text that tokenizers find hard: any characters, white space, and what looks like control tokens.
    pub fn text(&mut self) -> String {
        const PARTS: [&str; 16] = [
            "the ",
            "ships",
            " ",
            "  ",
            "\n",
            "\r\n",
            "\t",
            "'ll",
            "1987",
            "é",
            "e\u{301}",
            "你好",
            "😀",
            "👨‍👩‍👧",
            "<|im_end|>",
            "<|",
        ];
        let mut text = String::new();
        for _ in 0..self.below(24) {
            match self.below(3) {
                0 => text.extend(char::from_u32(self.below(0x11_0000) as u32)),
                1 => text.extend(char::from_u32(self.below(0x250) as u32)),
                _ => text.push_str(PARTS[self.below(PARTS.len())]),
            }
        }
        text
    }
}
