//! The dispatches of a matmul: one for each chunk of the weights, after what makes their input.

use super::{
    context::Context,
    forms::{self, Input},
    matrix::Chunk,
    recorder::{Binding, Recorder},
    words::Words,
};
use crate::{backend::MatmulParams, quant::BLOCK};

/// Bytes of a block of 32 activations that `quantize` writes.
pub(super) const QUANTIZED_BLOCK_BYTES: usize = 48;

/// A batch of activations in a texture.
pub(super) struct Batch {
    pub id: u32,
    pub bytes: usize,
    pub words: Words,
}

/// Quantised activations: a buffer, and the room of [`Batch`] that they are copied to where matmuls of many
/// tokens read textures.
pub(super) struct Quantized {
    pub id: u32,
    pub words: Words,
}

/// What a matmul binds; ids are those of [`Binding`].
pub(super) struct Operands<'a> {
    pub x: (u32, &'a Words),
    /// Where the input is normalised.
    pub norm: Binding<'a>,
    /// Chunks, whose ids count up.
    pub weight: (u32, &'a [Chunk]),
    pub out: Binding<'a>,
    /// Where there is one.
    pub batch: Option<&'a Batch>,
    pub quantized: Option<&'a Quantized>,
}

impl Operands<'_> {
    /// Records the matmul of an input that is made of `x`.
    pub(super) fn record(&self, ctx: &Context, recorder: &mut Recorder, input: Input, p: MatmulParams) {
        let is_int8 = |chunk: &Chunk| self.quantized.is_some() && forms::takes_int8(ctx, chunk.ty);
        let (_, chunks) = self.weight;
        if let Some(quantized) = self.quantized.filter(|_| chunks.iter().any(is_int8)) {
            let q = self.quantize(ctx, recorder, quantized, input, &p);
            for (id, chunk, p) in self.parts(&p, 0).filter(|(_, chunk, _)| is_int8(chunk)) {
                let tiled = forms::matmul_int8(ctx, chunk.ty, &p);
                let bindings = [Binding::words(id, &chunk.words), q, self.out];
                let groups = [p.n_rows.div_ceil(tiled.x), p.n_tokens.div_ceil(tiled.y), 1];
                recorder.record(ctx, tiled.form, bytemuck::bytes_of(&p), &bindings, groups);
            }
        }
        if chunks.iter().all(is_int8) {
            return;
        }
        let (x, first_token) = self.load(ctx, recorder, &p);
        for (id, chunk, p) in self.parts(&p, first_token).filter(|(_, chunk, _)| !is_int8(chunk)) {
            let tiled = forms::matmul(ctx, chunk.ty, input, &p);
            let bindings = [Binding::words(id, &chunk.words), x, self.out, self.norm];
            let bindings = if forms::is_matvec(ctx, &p) { &bindings[..] } else { &bindings[..3] };
            let groups = [p.n_rows.div_ceil(tiled.x), p.n_tokens.div_ceil(tiled.y), 1];
            recorder.record(ctx, tiled.form, bytemuck::bytes_of(&p), bindings, groups);
        }
    }

    /// The chunks with their ids and params.
    fn parts(&self, p: &MatmulParams, first_token: u32) -> impl Iterator<Item = (u32, &Chunk, MatmulParams)> {
        let (id, chunks) = self.weight;
        (id..).zip(chunks).map(move |(id, chunk)| {
            let row_begin = p.row_begin + chunk.row_begin;
            (id, chunk, MatmulParams { n_rows: chunk.n_rows, row_begin, first_token, ..*p })
        })
    }

    /// The batch that a matmul reads its activations from, where it reads them from a texture.
    fn batch_of(&self, ctx: &Context, p: &MatmulParams) -> Option<&Batch> {
        self.batch.filter(|_| forms::copies_x(ctx, p))
    }

    /// Quantises the input; returns where it is, from its first token on.
    fn quantize<'a>(
        &'a self,
        ctx: &Context,
        recorder: &mut Recorder,
        quantized: &'a Quantized,
        input: Input,
        p: &MatmulParams,
    ) -> Binding<'a> {
        let q = Binding::words(quantized.id, &quantized.words);
        let bindings = [Binding::words(self.x.0, self.x.1), self.norm, q];
        let params = p.quantize();
        let groups = [p.n_tokens, 1, 1];
        recorder.record(ctx, forms::quantize(input), bytemuck::bytes_of(&params), &bindings, groups);
        let Some(batch) = self.batch_of(ctx, p) else {
            return q;
        };
        let bytes = p.n_tokens as usize * p.n_cols as usize / BLOCK * QUANTIZED_BLOCK_BYTES;
        recorder.record_copy(&quantized.words, 0, bytes as u64, &batch.words);
        Binding::words(batch.id, &batch.words)
    }

    /// Brings `x` to where the kernel reads it; returns where that is, and the row of its first token.
    fn load(&self, ctx: &Context, recorder: &mut Recorder, p: &MatmulParams) -> (Binding<'_>, u32) {
        let Some(batch) = self.batch_of(ctx, p) else {
            return (Binding::words(self.x.0, self.x.1), p.first_token);
        };
        let row = u64::from(p.n_cols) * 4;
        let (offset, bytes) = (u64::from(p.first_token) * row, u64::from(p.n_tokens) * row);
        recorder.record_copy(self.x.1, offset, bytes, &batch.words);
        (Binding::words(batch.id, &batch.words), 0)
    }
}
