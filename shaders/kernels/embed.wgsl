// embed: one lane dequantises one block of one token's row.
#import quants_u32
#import layout
#import weight

struct EmbedParams {
    n_tokens: u32,
    n_cols: u32,
    row_begin: u32,
    n_rows: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> p: EmbedParams;
@group(0) @binding(3) var<storage, read> tokens: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

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
    let b = load_block(row, block, n_blocks);
    for (var i = 0u; i < 8u; i++) {
        out[id.x * 8u + i] = weights(b, i) * p.scale;
    }
}
