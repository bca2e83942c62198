// embed: one lane dequantises one block of one token's row.
#import weight
#import layout

struct EmbedParams {
    n_tokens: u32,
    n_cols: u32,
    row_begin: u32,
    n_rows: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> p: EmbedParams;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let n_blocks = p.n_cols / 32u;
    let block = id.x % n_blocks;
    let token = id.x / n_blocks;
    if token >= p.n_tokens {
        return;
    }
    let row = tokens[token] - p.row_begin;
    if row >= p.n_rows {
        return;
    }
    let k = block % SUPER;
    let n = min(SUPER, n_blocks - (block - k));
    let at = row_begin(row, p.n_cols) + block / SUPER * (scale_words(SUPER) + quant_words(SUPER)) * NEXT;
    let s = load_scales(at, n);
    let b = load_block(s, at + scale_words(n) * NEXT, k);
    for (var i = 0u; i < 8u; i++) {
        out[id.x * 8u + i] = weights(s, k, b, i) * p.scale;
    }
}
