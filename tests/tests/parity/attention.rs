//! `rope_kv`, `attention`, and `rope_attention` that does both, over head sizes, groups of query heads,
//! positions around the tiles of a kernel, and what a head or a score goes through.

use halfbyte::backend::{AttentionParams, HeadBufs, KvBufs};
use halfbyte_tests::random::Random;

use super::table::{Both, Table};

/// Elements behind the end of what an op may write.
const GUARD: usize = 37;
/// Elements of a head, query heads to a key and value head, key and value heads. Each pair of the first
/// two may be kernels of their own that the driver compiles, some for seconds, so there are few.
const HEADS: [[usize; 3]; 9] = [
    [16, 3, 2],
    [32, 8, 1],
    [64, 1, 2],
    [64, 3, 3],
    [64, 7, 1],
    [80, 2, 2],
    [96, 2, 1],
    [128, 2, 2],
    [256, 4, 1],
];
/// Position of the first token: around the tiles of 8 and 64 positions.
const POSITIONS: [usize; 8] = [0, 1, 7, 8, 63, 64, 65, 300];

/// What the inputs look like.
#[derive(Clone, Copy)]
struct Sizes {
    name: &'static str,
    query: f32,
    key: f32,
    value: f32,
}

const PLAIN: Sizes = Sizes { name: "", query: 5.0, key: 1.0, value: 1.0 };
/// Of what else the numbers may be; sharp scores reach 100, whose exponential is beyond f32.
const OTHERS: [Sizes; 4] = [
    Sizes { name: ", sharp", query: 60.0, key: 1.0, value: 1.0 },
    Sizes { name: ", flat", query: 1e-4, key: 1e-4, value: 1.0 },
    Sizes { name: ", size 1e4", query: 1e-4, key: 1e4, value: 1e4 },
    Sizes { name: ", size 1e-4", query: 1e4, key: 1e-4, value: 1e-4 },
];

/// What heads and scores go through.
#[derive(Clone, Copy)]
struct Features {
    name: &'static str,
    /// Share of a head that is rotated, in eighths.
    eighths: usize,
    halves: bool,
    has_norm: bool,
    has_bias: bool,
    softcap: f32,
    window: Option<usize>,
}

const BARE: Features = Features {
    name: "",
    eighths: 0,
    halves: false,
    has_norm: false,
    has_bias: false,
    softcap: 0.0,
    window: None,
};
const FEATURES: [Features; 8] = [
    Features { name: "rotated", eighths: 8, ..BARE },
    Features { name: "half rotated", eighths: 4, ..BARE },
    Features { name: "halves", eighths: 8, halves: true, ..BARE },
    Features { name: "norm", has_norm: true, ..BARE },
    Features { name: "bias", has_bias: true, ..BARE },
    Features { name: "softcap", softcap: 1.5, ..BARE },
    Features { name: "window", window: Some(20), ..BARE },
    Features {
        name: "all",
        eighths: 4,
        halves: true,
        has_norm: true,
        has_bias: true,
        softcap: 3.0,
        window: Some(9),
    },
];

/// One call.
#[derive(Clone, Copy)]
struct Case {
    heads: [usize; 3],
    pos: usize,
    n_tokens: usize,
    /// Positions that the cache has beyond what it must have.
    room: usize,
    sizes: Sizes,
    features: Features,
}

pub(crate) fn attention(table: &mut Table) {
    let random = &mut Random::new(9);
    for heads in HEADS {
        let case = Case { heads, pos: 0, n_tokens: 1, room: 0, sizes: PLAIN, features: BARE };
        for pos in POSITIONS {
            for n_tokens in [1, 2, 9] {
                // The last positions of the cache, and positions with room behind them.
                let room = (pos + n_tokens) % 2 * 5;
                Case { pos, n_tokens, room, ..case }.attention(table, random);
            }
        }
        for (pos, n_tokens) in [(0, 17), (0, 127), (0, 128), (172, 128)] {
            Case { pos, n_tokens, ..case }.attention(table, random);
        }
        for sizes in OTHERS {
            for (pos, n_tokens) in [(0, 1), (64, 1), (60, 17)] {
                Case { pos, n_tokens, room: 5, sizes, ..case }.attention(table, random);
            }
        }
        for features in FEATURES.into_iter().filter(|f| f.softcap > 0.0 || f.window.is_some()) {
            for (pos, n_tokens) in [(0, 1), (8, 1), (65, 1), (0, 17), (63, 9), (300, 40)] {
                let room = (pos + n_tokens) % 2 * 3;
                Case { pos, n_tokens, room, features, ..case }.attention(table, random);
            }
        }
    }
}

pub(crate) fn rope_attention(table: &mut Table) {
    let random = &mut Random::new(16);
    for heads in HEADS {
        for features in FEATURES {
            for (i, pos) in POSITIONS.into_iter().enumerate() {
                for n_tokens in [1, if i % 2 == 0 { 2 } else { 9 }] {
                    let room = i % 3 * 5;
                    Case { heads, pos, n_tokens, room, sizes: PLAIN, features }.rope_attention(table, random);
                }
            }
        }
    }
}

pub(crate) fn rope_kv(table: &mut Table) {
    let random = &mut Random::new(8);
    for heads in HEADS {
        for features in FEATURES.into_iter().filter(|f| f.softcap == 0.0 || f.has_norm) {
            for (pos, n_tokens) in [(0, 1), (1, 1), (0, 2), (7, 9), (64, 17), (0, 128), (300, 128)] {
                for room in [0, 3] {
                    Case { heads, pos, n_tokens, room, sizes: PLAIN, features }.rope_kv(table, random);
                }
            }
        }
    }
}

/// The buffers of a call and what they hold.
struct Inputs {
    qkv: Both,
    rope: Both,
    weights: Both,
    k: Both,
    v: Both,
    k_before: Vec<f32>,
    v_before: Vec<f32>,
}

impl Inputs {
    fn kv(&self, i: usize) -> KvBufs {
        KvBufs { k: self.k[i], v: self.v[i] }
    }

    fn heads(&self, i: usize) -> HeadBufs {
        HeadBufs { rope: self.rope[i], weights: self.weights[i] }
    }

    fn free(self, table: &mut Table) {
        table.free([self.qkv, self.rope, self.weights, self.k, self.v]);
    }
}

impl Case {
    fn n_heads(&self) -> usize {
        self.heads[1] * self.heads[2]
    }

    /// Positions of the cache: what the tokens see together and room.
    fn n_slots(&self) -> usize {
        let all = self.pos + self.n_tokens;
        all.min(self.features.window.map_or(all, |window| window + self.n_tokens - 1)) + self.room
    }

    /// A multiple of eight or, where it is enough, of four.
    fn rope_dim(&self) -> usize {
        let f = &self.features;
        (self.heads[0] * f.eighths / 8).next_multiple_of(if f.halves { 8 } else { 4 })
    }

    fn params(&self) -> AttentionParams {
        let (f, [head_dim, _, n_kv_heads]) = (&self.features, self.heads);
        AttentionParams {
            n_tokens: self.n_tokens as u32,
            pos: self.pos as u32,
            n_heads: self.n_heads() as u32,
            n_kv_heads: n_kv_heads as u32,
            head_dim: head_dim as u32,
            n_slots: self.n_slots() as u32,
            rope_dim: self.rope_dim() as u32,
            halves: f.halves.into(),
            has_norm: f.has_norm.into(),
            has_bias: f.has_bias.into(),
            eps: 1e-5,
            scale: 1.0 / (head_dim as f32).sqrt(),
            window: f.window.map_or(u32::MAX, |window| window as u32),
            softcap: f.softcap,
        }
    }

    /// Whether element `i` of a cache is of a position in `positions`.
    fn is_of(&self, i: usize, mut positions: std::ops::Range<usize>) -> bool {
        let slot = i / self.heads[0] % self.n_slots();
        positions.any(|position| position % self.n_slots() == slot)
    }

    /// Random ones; what a longer conversation left in the cache is large and must not be seen.
    fn inputs(&self, table: &mut Table, random: &mut Random) -> Inputs {
        let ([head_dim, _, n_kv_heads], sizes) = (self.heads, self.sizes);
        let row = (self.n_heads() + 2 * n_kv_heads) * head_dim;
        let end = self.pos + self.n_tokens;
        let begin = (self.pos + 1).saturating_sub(self.features.window.unwrap_or(usize::MAX));
        let angles = random.values(end * self.rope_dim() / 2, 3.2);
        let turns: Vec<f32> = angles.iter().flat_map(|a| [a.cos(), a.sin()]).collect();
        let mut cache = |scale: f32| -> Vec<f32> {
            let values = random.values(n_kv_heads * self.n_slots() * head_dim, scale);
            let seen = |(i, v)| if self.is_of(i, begin..end) { v } else { 1e4 * scale };
            values.into_iter().enumerate().map(seen).collect()
        };
        let (k_before, v_before) = (cache(sizes.key), cache(sizes.value));
        Inputs {
            qkv: table.buffer(&random.values(self.n_tokens * row, sizes.query)),
            rope: table.buffer(&turns),
            weights: table.buffer(&random.values(2 * head_dim + row, 2.0)),
            k: table.cache(&k_before, [n_kv_heads, self.n_slots(), head_dim]),
            v: table.cache(&v_before, [n_kv_heads, self.n_slots(), head_dim]),
            k_before,
            v_before,
        }
    }

    fn shape(&self) -> String {
        let ([head_dim, group, n_kv_heads], n_slots) = (self.heads, self.n_slots());
        let Case { pos, n_tokens, .. } = self;
        format!("{head_dim} x {group} x {n_kv_heads}, {n_tokens} tokens at {pos}, {n_slots} slots")
    }

    fn attention(self, table: &mut Table, random: &mut Random) {
        let (inputs, p) = (self.inputs(table, random), self.params());
        let n = self.n_tokens * self.n_heads() * self.heads[0];
        let before = random.values(n + GUARD, self.sizes.value);
        let out = table.buffer(&before);
        // The first rows of `qkv` do as queries.
        table.run(|backend, i| backend.attention(out[i], inputs.qkv[i], inputs.kv(i), p));
        let [head_dim, group, _] = self.heads;
        let class = match self.features.name {
            "" => format!("{head_dim} x {group}{}", self.sizes.name),
            feature => feature.to_owned(),
        };
        table.compare(("attention", &class), self.shape(), out, &before, 0.0, |i| i < n);
        table.free([out]);
        inputs.free(table);
    }

    fn rope_attention(self, table: &mut Table, random: &mut Random) {
        let (inputs, p) = (self.inputs(table, random), self.params());
        let n = self.n_tokens * self.n_heads() * self.heads[0];
        let before = random.values(n + GUARD, 1.0);
        let out = table.buffer(&before);
        let scratch = table.buffer(&before);
        table.run(|backend, i| {
            backend.rope_attention(out[i], inputs.qkv[i], inputs.kv(i), inputs.heads(i), scratch[i], p);
        });
        self.compare_cache(table, &inputs, ["keys, fused", "values, fused"]);
        let class = self.features.name;
        table.compare(("rope_attention", class), self.shape(), out, &before, 0.0, |i| i < n);
        table.free([out, scratch]);
        inputs.free(table);
    }

    fn rope_kv(self, table: &mut Table, random: &mut Random) {
        let (inputs, p) = (self.inputs(table, random), self.params().rope_kv());
        let n = self.n_tokens * self.n_heads() * self.heads[0];
        let before = random.values(n + GUARD, 1.0);
        let queries = table.buffer(&before);
        table.run(|backend, i| {
            backend.rope_kv(queries[i], inputs.qkv[i], inputs.kv(i), inputs.heads(i), p);
        });
        let name = self.features.name;
        table.compare(
            (self.rope_kv_op(), &format!("queries, {name}")),
            self.shape(),
            queries,
            &before,
            0.0,
            |i| i < n,
        );
        self.compare_cache(table, &inputs, [&format!("keys, {name}"), &format!("values, {name}")]);
        table.free([queries]);
        inputs.free(table);
    }

    /// The op under its bound: a norm is less exact.
    fn rope_kv_op(&self) -> &'static str {
        if self.features.has_norm { "rope_kv, norm" } else { "rope_kv" }
    }

    fn compare_cache(&self, table: &mut Table, inputs: &Inputs, [keys, values]: [&str; 2]) {
        let written = |i: usize| self.is_of(i, self.pos..self.pos + self.n_tokens);
        table.compare((self.rope_kv_op(), keys), self.shape(), inputs.k, &inputs.k_before, 0.0, written);
        table.compare(("rope_kv", values), self.shape(), inputs.v, &inputs.v_before, 0.0, written);
    }
}
