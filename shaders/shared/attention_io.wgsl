// What the variants of attention share.
struct AttentionParams {
    n_tokens: u32,
    pos: u32,
    n_heads: u32,
    n_kv_heads: u32,
    head_dim: u32,
    kv_capacity: u32,
    scale: f32,
    rope_dim: u32,
}

@group(0) @binding(0) var<uniform> p: AttentionParams;
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;

// A score that no finite one falls below, and that stays finite in a difference.
const MASKED: f32 = -1e30;

// Where head `head` of row `token` starts in `qkv`, in vec4.
fn query_start(token: u32, head: u32) -> u32 {
    return (token * (p.n_heads + 2u * p.n_kv_heads) + head) * (HEAD_DIM / 4u);
}
