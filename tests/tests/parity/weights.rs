//! The ops that read weights: `embed` and `matmul`.

use halfbyte::backend::{EmbedParams, Gate, MatmulParams};
use halfbyte::gguf::TensorView;
use halfbyte::quant::{BLOCK, WeightType, dequantize_tensor};
use halfbyte_tests::{matrices::random_matrix, random::Random};

use super::table::{Both, Table};

/// Columns: whole blocks, an odd and an even number of them, more than a workgroup has lanes.
const COLS: [usize; 7] = [32, 64, 96, 160, 224, 576, 2080];
/// The same for types whose rows are whole super-blocks of 256.
const SUPER_COLS: [usize; 5] = [256, 512, 768, 1280, 2304];
/// Rows: around the interleaving of eight and around workgroups of 64, 128 and 256.
const ROWS: [usize; 11] = [1, 7, 8, 9, 31, 33, 63, 65, 127, 257, 521];
/// Tokens: one is a form of its own; tiles of eight, the whole batch and one less.
const TOKENS: [usize; 9] = [1, 2, 7, 8, 9, 16, 17, 127, 128];
/// Elements behind the end of what an op may write.
const GUARD: usize = 37;

/// Types that meet every shape; the others meet some. What a shape can break is in the kernels, which all
/// types share, and in where a type finds its scales: here are one without scales, those with a word of
/// scales for four and for eight blocks, and those whose short last super-block has fewer words of them.
const THOROUGH: [WeightType; 6] = [
    WeightType::F16,
    WeightType::Q4_1,
    WeightType::Q5_0,
    WeightType::Q8_0,
    WeightType::Q2_K,
    WeightType::Q6_K,
];

/// The rows that matrices of a type have.
fn rows(ty: WeightType) -> impl Iterator<Item = usize> {
    ROWS.into_iter().step_by(if THOROUGH.contains(&ty) { 1 } else { 5 })
}

/// The columns that matrices of a type have.
fn cols(ty: WeightType) -> impl Iterator<Item = usize> {
    let cols = if ty.block() > BLOCK { &SUPER_COLS[..] } else { &COLS };
    cols.iter().copied().step_by(if THOROUGH.contains(&ty) { 1 } else { 2 })
}

/// Tables of every type, with tokens before, in and behind the rows of the table.
pub(crate) fn embed(table: &mut Table) {
    let random = &mut Random::new(2);
    for ty in WeightType::ALL {
        for (rows, cols) in [(1, 32), (7, 64), (9, 160), (257, 96), (521, 576)] {
            let cols = usize::next_multiple_of(cols, ty.block());
            for (scale, size) in [(1.0, 1.0), (9.798, 1e4), (0.25, 1e-4)] {
                let weights = table.upload(&[random_matrix(random, ty, [rows, cols], size)]);
                for n_tokens in [1, 2, 9, 128] {
                    let mut tokens: Vec<u32> = (0..n_tokens).map(|_| random.below(rows) as u32).collect();
                    tokens[n_tokens - 1] = rows as u32 - 1;
                    tokens[n_tokens / 2] = if n_tokens == 9 { rows as u32 } else { 0 };
                    let p = EmbedParams {
                        n_tokens: n_tokens as u32,
                        n_cols: cols as u32,
                        row_begin: 0,
                        n_rows: rows as u32,
                        scale,
                    };
                    let before = random.values(n_tokens * cols + GUARD, 1.0);
                    let out = table.buffer(&before);
                    table.run(|backend, i| backend.embed(out[i], weights[i], &tokens, p));
                    let shape = format_args!("{rows} x {cols}, {n_tokens} tokens, size {size:e}");
                    table.compare(("embed", ty.name()), shape, out, &before, 0.0, |i| {
                        tokens.get(i / cols).is_some_and(|t| *t < rows as u32)
                    });
                    table.free([out]);
                }
                table.free([weights]);
            }
        }
    }
}

/// The rows of some tensors.
struct Matrix {
    weights: Both,
    rows: usize,
    cols: usize,
    mean_square: f64,
}

impl Matrix {
    fn upload(table: &mut Table, tensors: &[TensorView]) -> Matrix {
        let (rows, cols) = (tensors.iter().map(|t| t.rows()).sum(), tensors[0].cols());
        let values = tensors.iter().flat_map(|t| dequantize_tensor(t).unwrap());
        let squares: f64 = values.map(|v| f64::from(v).powi(2)).sum();
        Matrix { weights: table.upload(tensors), rows, cols, mean_square: squares / (rows * cols) as f64 }
    }
}

/// What the rows of a matrix meet.
#[derive(Clone, Copy, PartialEq)]
enum Input {
    /// `matmul`: activations as they are.
    Plain,
    /// `norm_matmul`: activations that are normalised first.
    Normed,
    /// `gated_matmul`: activations whose first half gates the second.
    Gated(Gate),
}

/// One product of a matrix.
#[derive(Clone, Copy)]
struct Product<'a> {
    class: &'a str,
    matrix: &'a Matrix,
    input: Input,
    n_tokens: usize,
    /// First row of the activations that is read.
    first_token: usize,
    /// Columns of `out` before and behind those that are written.
    margins: [usize; 2],
    accumulate: bool,
    scale: f32,
}

impl Product<'_> {
    /// Over the shapes of `out`: just the rows; a stretch of it, added to what is there.
    fn check_both(self, table: &mut Table, random: &mut Random) {
        self.check(table, random);
        let first_token = if matches!(self.input, Input::Gated(_)) { 0 } else { 2 };
        Product { margins: [5, 3], accumulate: true, first_token, ..self }.check(table, random);
    }

    fn check(self, table: &mut Table, random: &mut Random) {
        let Product { class, input, n_tokens, first_token, accumulate, scale, .. } = self;
        let &Matrix { weights, rows, cols, mean_square } = self.matrix;
        let [row_begin, behind] = self.margins;
        let out_cols = row_begin + rows + behind;
        let p = MatmulParams {
            n_tokens: n_tokens as u32,
            n_rows: rows as u32,
            n_cols: cols as u32,
            row_begin: row_begin as u32,
            out_cols: out_cols as u32,
            accumulate: u32::from(accumulate),
            first_token: first_token as u32,
            eps: 1e-5,
        };
        let x_cols = if matches!(input, Input::Gated(_)) { 2 * cols } else { cols };
        let x = table.buffer(&random.values((first_token + n_tokens) * x_cols, scale));
        let norm = table.buffer(&random.values(cols, 1.0));
        let scratch = table.buffer(&random.values(n_tokens * cols, 1.0));
        let before = random.values(n_tokens * out_cols + GUARD, scale);
        let out = table.buffer(&before);
        table.run(|backend, i| match input {
            Input::Plain => backend.matmul(out[i], x[i], weights[i], p),
            Input::Normed => backend.norm_matmul(out[i], x[i], norm[i], weights[i], scratch[i], p),
            Input::Gated(gate) => backend.gated_matmul(out[i], x[i], weights[i], scratch[i], gate, p),
        });
        let shape = format_args!("{rows} x {cols}, {n_tokens} tokens, accumulate {accumulate}");
        let typical = cols as f64 * mean_square * self.input_square();
        table.compare((self.op(), class), shape, out, &before, typical, |i| {
            i / out_cols < n_tokens && (row_begin..row_begin + rows).contains(&(i % out_cols))
        });
        table.free([x, norm, scratch, out]);
    }

    fn op(&self) -> &'static str {
        match self.input {
            Input::Plain => "matmul",
            Input::Normed => "norm_matmul",
            Input::Gated(Gate::Silu) => "gated_matmul",
            Input::Gated(Gate::Gelu) => "gated_matmul, GELU",
        }
    }

    /// About the mean square of what the weights meet; uniform numbers below one have 1 / 3.
    fn input_square(&self) -> f64 {
        let square = f64::from(self.scale).powi(2) / 3.0;
        match self.input {
            Input::Plain => square,
            Input::Normed => square / (square + 1e-5) / 3.0,
            // Half of the gates are open; where all are small, silu and gelu halve them.
            Input::Gated(_) => square * square / 4.0,
        }
    }
}

/// Every type over its rows and columns, for one token and for tokens that take turns; every number of
/// tokens for some matrices.
pub(crate) fn matmul(table: &mut Table) {
    let random = &mut Random::new(3);
    for ty in WeightType::ALL {
        let shape = [33, usize::next_multiple_of(576, ty.block())];
        for (r, rows) in rows(ty).enumerate() {
            for (c, cols) in cols(ty).enumerate() {
                let turn = TOKENS[1 + (r + c) % (TOKENS.len() - 1)];
                let tokens = if c == 2 && r % 4 == 1 { &TOKENS[..] } else { &[1, turn] };
                sizes(table, random, (ty, Input::Plain), [rows, cols], tokens, 1.0);
            }
        }
        sizes(table, random, (ty, Input::Plain), shape, &[1, 9], 1e4);
        sizes(table, random, (ty, Input::Plain), shape, &[1, 9], 1e-4);
    }
}

/// A matrix that is large enough for the form which gives more rows to a lane.
pub(crate) fn large_matmul(table: &mut Table) {
    let random = &mut Random::new(21);
    for ty in [WeightType::Q4_1, WeightType::Q8_0, WeightType::F16] {
        for input in [Input::Plain, Input::Normed, Input::Gated(Gate::Silu)] {
            sizes(table, random, (ty, input), [2049, 2080], &[1], 1.0);
        }
    }
}

/// The ops that prepare their input on the way; a kernel may do so for one token only.
pub(crate) fn fused_matmul(table: &mut Table) {
    let random = &mut Random::new(15);
    for ty in WeightType::ALL {
        let width = usize::next_multiple_of(576, ty.block());
        for input in [Input::Normed, Input::Gated(Gate::Silu)] {
            for rows in rows(ty).step_by(2) {
                for cols in cols(ty) {
                    sizes(table, random, (ty, input), [rows, cols], &[1, 2], 1.0);
                }
            }
        }
        for input in [Input::Normed, Input::Gated(Gate::Silu), Input::Gated(Gate::Gelu)] {
            sizes(table, random, (ty, input), [65, width], &[1, 9, 128], 1.0);
            sizes(table, random, (ty, input), [33, width], &[1, 9], 1e4);
            sizes(table, random, (ty, input), [33, width], &[1, 9], 1e-4);
        }
    }
}

/// One matrix of one type, with weights and activations of about `scale`.
fn sizes(
    table: &mut Table,
    random: &mut Random,
    (ty, input): (WeightType, Input),
    shape: [usize; 2],
    tokens: &[usize],
    scale: f32,
) {
    let matrix = &Matrix::upload(table, &[random_matrix(random, ty, shape, scale)]);
    for &n_tokens in tokens {
        let form = if n_tokens == 1 { "1 token" } else { "batch" };
        let size = if scale == 1.0 { String::new() } else { format!(", size {scale:e}") };
        let class = &format!("{}, {form}{size}", ty.name());
        let (margins, accumulate) = ([0, 0], false);
        Product { class, matrix, input, n_tokens, first_token: 0, margins, accumulate, scale }
            .check_both(table, random);
    }
    table.free([matrix.weights]);
}

/// Several tensors in one upload, as queries, keys and values are: of one type and of several, with
/// rows that do not fill the interleaving.
pub(crate) fn stacks(table: &mut Table) {
    use WeightType::{BF16, F16, F32, IQ4_NL, IQ4_XS, MXFP4, Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_1, Q6_K, Q8_0};
    let random = &mut Random::new(4);
    let stacks: [(usize, &[(WeightType, usize)]); 9] = [
        (96, &[(Q4_1, 576), (Q4_1, 192), (Q4_1, 192)]),
        (576, &[(Q4_0, 40), (Q4_0, 13), (Q4_0, 13)]),
        (96, &[(Q4_0, 64), (Q8_0, 32), (Q8_0, 32)]),
        (576, &[(F32, 7), (F16, 9), (Q4_0, 1), (Q4_1, 15), (Q8_0, 23)]),
        (96, &[(Q8_0, 1), (Q8_0, 1), (Q8_0, 1)]),
        (576, &[(F16, 3), (Q4_1, 8), (F16, 130)]),
        (96, &[(BF16, 3), (MXFP4, 33), (Q5_1, 9), (IQ4_NL, 1)]),
        (768, &[(Q4_K, 40), (Q4_K, 13), (Q6_K, 13)]),
        (768, &[(Q3_K, 32), (Q3_K, 64), (Q2_K, 7), (IQ4_XS, 65), (Q8_0, 2)]),
    ];
    for (cols, stack) in stacks {
        let tensors: Vec<TensorView> =
            stack.iter().map(|(ty, rows)| random_matrix(random, *ty, [*rows, cols], 1.0)).collect();
        let matrix = &Matrix::upload(table, &tensors);
        for input in [Input::Plain, Input::Normed, Input::Gated(Gate::Silu)] {
            for n_tokens in [1, 2, 9, 17] {
                let (class, margins, accumulate, scale) = ("stacks of tensors", [0, 0], false, 1.0);
                Product { class, matrix, input, n_tokens, first_token: 0, margins, accumulate, scale }
                    .check_both(table, random);
            }
        }
        table.free([matrix.weights]);
    }
}

/// More dispatches between two reads than any one submit holds, each with its own params.
pub(crate) fn many_in_one_submit(table: &mut Table) {
    const OPS: u32 = 2500;
    let random = &mut Random::new(5);
    let weights = table.upload(&[random_matrix(random, WeightType::F32, [8, 32], 1.0)]);
    let x = table.buffer(&random.values(32, 1.0));
    let before = random.values(100, 1.0);
    let out = table.buffer(&before);
    table.run(|backend, i| {
        for op in 0..OPS {
            let row_begin = op * 7 % 90;
            let p = MatmulParams {
                n_tokens: 1,
                n_rows: 8,
                n_cols: 32,
                row_begin,
                out_cols: 98,
                accumulate: 1,
                ..Default::default()
            };
            backend.matmul(out[i], x[i], weights[i], p);
        }
    });
    let shape = format_args!("8 x 32, {OPS} times");
    table.compare(("matmul", "many in one submit"), shape, out, &before, 0.0, |i| i < 97);
    table.free([weights, x, out]);
}
