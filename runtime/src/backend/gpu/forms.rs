//! Which form of a kernel runs: by what the adapter offers and the shape of the call, never by vendor.

use super::{context::Context, pipelines::Form};
use crate::{
    backend::{AttentionParams, Gate, MatmulParams},
    quant::WeightType,
};

/// Tokens that one workgroup of the batched matmul takes, and rows of a weight that a lane takes.
const TOKEN_TILE: u32 = 8;
const ROW_TILE: u32 = 4;
/// Rows that a lane takes of a matrix of at least so many weights, when it meets one token: what is
/// loaded of x then serves more rows, and there are still enough lanes.
const LARGE_ROW_TILE: u32 = 8;
const LARGE: u32 = 4 << 20;
/// Elements of queries that one workgroup of attention takes at most. Their state lives in registers,
/// and a driver's compile time grows with the square of it (lavapipe: 4 s at 384, 15 s at 1024).
const MAX_QUERY_ELEMENTS: u32 = 512;
/// Queries that one workgroup of attention should take: with more, Mesa's unroller gives up, and the arrays
/// of their state are scattered lane by lane (lavapipe, six queries: half the speed).
const QUERIES: u32 = 4;

/// What the weights of a matmul meet; the constant INPUT of `matvec_subgroup_body.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The activations as they are.
    Plain = 0,
    /// The activations normalised on the way in.
    Normed = 1,
    /// The first half gates the second, through SiLU.
    Gated = 2,
    /// The same through GELU.
    GeluGated = 3,
}

impl Input {
    /// The input that a gate makes.
    pub(super) fn gated(gate: Gate) -> Input {
        match gate {
            Gate::Silu => Input::Gated,
            Gate::Gelu => Input::GeluGated,
        }
    }
}

/// A form, and how much of the work one workgroup takes along x and y.
pub(super) struct Tiled {
    pub form: Form,
    pub x: u32,
    pub y: u32,
}

/// Whether the matmul is of one token. Its kernel takes any [`Input`] and has the binding of the norm;
/// the others take [`Input::Plain`].
pub(super) fn is_matvec(ctx: &Context, p: &MatmulParams) -> bool {
    p.n_tokens == 1 && ctx.subgroup.is_some()
}

/// How kernels load the words of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    U32,
    U64,
    Texture,
}

fn words(ctx: &Context) -> Load {
    match (ctx.textures, ctx.int64) {
        (true, _) => Load::Texture,
        (false, true) => Load::U64,
        (false, false) => Load::U32,
    }
}

/// Whether a matmul reads activations from a texture.
pub(super) fn copies_x(ctx: &Context, p: &MatmulParams) -> bool {
    ctx.textures && !is_matvec(ctx, p)
}

/// The form of `embed` for a weight type.
pub(super) fn embed(ctx: &Context, weight: WeightType) -> Form {
    let kernel = if ctx.textures { "embed_texture" } else { "embed" };
    Form { weight: weight.name(), ..Form::plain(kernel) }
}

/// One subgroup a row, where there are subgroups: a barrier then costs nothing.
pub(super) fn rms_norm(ctx: &Context) -> Form {
    let workgroup = ctx.subgroup.map_or(32, |(_, most)| most);
    Form { workgroup, ..Form::plain("rms_norm") }
}

/// x counts rows of the weight, y tokens.
pub(super) fn matmul(ctx: &Context, weight: WeightType, input: Input, p: &MatmulParams) -> Tiled {
    let matvec = is_matvec(ctx, p);
    let kernel = match (matvec, words(ctx)) {
        _ if ctx.subgroup.is_none() => "matmul",
        (true, Load::U32) => "matvec_subgroup",
        (true, Load::U64) => "matvec_subgroup_u64",
        (true, Load::Texture) => "matvec_subgroup_texture",
        (false, Load::U32) => "matmul_subgroup",
        (false, Load::U64) => "matmul_subgroup_u64",
        (false, Load::Texture) => "matmul_subgroup_texture",
    };
    let workgroup = ctx.subgroup.map_or(64, |(_, most)| most.max(16));
    let form = Form { weight: weight.name(), workgroup, ..Form::plain(kernel) };
    let tokens = if p.n_tokens == 1 { 1 } else { TOKEN_TILE };
    let constant = if matvec { ("INPUT", input as u32) } else { ("TOKENS", tokens) };
    let is_large = matvec && p.n_rows.saturating_mul(p.n_cols) >= LARGE;
    let rows = if is_large { LARGE_ROW_TILE } else { ROW_TILE };
    Tiled { form: form.with(&[("ROWS", rows), constant]), x: workgroup * rows, y: tokens }
}

/// Whether weights of a type meet activations that `quantize` wrote.
pub(super) fn takes_int8(ctx: &Context, weight: WeightType) -> bool {
    ctx.int8 && weight.quants().is_some()
}

/// The form that quantises an input.
pub(super) fn quantize(input: Input) -> Form {
    Form::plain("quantize").with(&[("INPUT", input as u32)])
}

/// The form of a matmul of activations that `quantize` wrote; x counts rows of the weight, y tokens.
pub(super) fn matmul_int8(ctx: &Context, weight: WeightType, p: &MatmulParams) -> Tiled {
    let kernel = match (is_matvec(ctx, p), words(ctx)) {
        _ if ctx.subgroup.is_none() => "matmul_int8",
        (true, Load::U32) => "matvec_int8_subgroup",
        (true, Load::U64) => "matvec_int8_subgroup_u64",
        (true, Load::Texture) => "matvec_int8_subgroup_texture",
        (false, Load::U32) => "matmul_int8_subgroup",
        (false, Load::U64) => "matmul_int8_subgroup_u64",
        (false, Load::Texture) => "matmul_int8_subgroup_texture",
    };
    let workgroup = ctx.subgroup.map_or(64, |(_, most)| most.max(16));
    let tokens = if p.n_tokens == 1 { 1 } else { TOKEN_TILE };
    let constants = [("ROWS", ROW_TILE), ("TOKENS", tokens)];
    let constants = if ctx.subgroup.is_none() { &constants[..] } else { &constants[..1] };
    let form = Form { weight: weight.name(), workgroup, ..Form::plain(kernel) }.with(constants);
    Tiled { form, x: workgroup * ROW_TILE, y: tokens }
}

/// Whether the cache of heads of `head_dim` elements is a texture. Only kernels that use subgroups read
/// one.
pub(super) fn cache_is_texture(ctx: &Context, head_dim: u32) -> bool {
    ctx.cache_textures && subgroup_for(ctx, head_dim).is_some()
}

/// x counts query heads, y tokens. `in_texture` tells where the cache is.
pub(super) fn attention(ctx: &Context, p: &AttentionParams, in_texture: bool) -> Tiled {
    let Some(n) = subgroup_for(ctx, p.head_dim) else {
        let form = Form::plain("attention").with(&[("HEAD_DIM", p.head_dim), softcap(p)]);
        return Tiled { form, x: 1, y: 1 };
    };
    let heads = heads_of(p);
    let most = (MAX_QUERY_ELEMENTS / (heads * p.head_dim)).min(QUERIES / heads).max(1);
    let tokens = if p.n_tokens == 1 { 1 } else { most };
    let kernel = match (in_texture, ctx.int64) {
        (true, _) => "attention_subgroup_texture",
        (false, true) => "attention_subgroup_u64",
        (false, false) => "attention_subgroup",
    };
    let shape = [("HEAD_DIM", p.head_dim), ("HEADS", heads), ("SUBGROUP", n), softcap(p), ("TOKENS", tokens)];
    Tiled { form: Form::plain(kernel).with(&shape), x: heads, y: tokens }
}

/// The form that rotates, writes the cache and attends at once, where there is one.
pub(super) fn rope_attention(ctx: &Context, p: &AttentionParams, in_texture: bool) -> Option<Tiled> {
    let n = subgroup_for(ctx, p.head_dim).filter(|_| p.n_tokens == 1)?;
    let heads = heads_of(p);
    let kernel = match (in_texture, ctx.int64) {
        (true, _) => "rope_attention_subgroup_texture",
        (false, true) => "rope_attention_subgroup_u64",
        (false, false) => "rope_attention_subgroup",
    };
    let shape = [("HEAD_DIM", p.head_dim), ("HEADS", heads), ("SUBGROUP", n), softcap(p)];
    Some(Tiled { form: Form::plain(kernel).with(&shape), x: heads, y: 1 })
}

/// Whether scores have a cap; it costs an exponential a score.
fn softcap(p: &AttentionParams) -> (&'static str, u32) {
    ("SOFTCAP", u32::from(p.softcap > 0.0))
}

/// Query heads that one workgroup takes: as many of those that share a key head as it should, or, where
/// their number has no such divisor, as fit.
fn heads_of(p: &AttentionParams) -> u32 {
    let group = p.n_heads / p.n_kv_heads;
    let fits = |n: &u32| group.is_multiple_of(*n) && n * p.head_dim <= MAX_QUERY_ELEMENTS;
    let few = (2..=QUERIES.min(group)).rev().find(fits);
    few.or_else(|| (1..=group).rev().find(fits)).unwrap_or(1)
}

/// Lanes of a subgroup, where their number is fixed and the size of a head fits the forms that use them.
fn subgroup_for(ctx: &Context, head_dim: u32) -> Option<u32> {
    let (least, most) = ctx.subgroup?;
    (least == most && head_dim.is_multiple_of(32)).then_some(most)
}
