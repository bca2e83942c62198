// Q4_1: 32 weights = 16 bytes of nibbles, an f16 scale and an f16 minimum; weight = d * nibble + m.
// Byte i holds weight i in its low and weight i + 16 in its high nibble.
@group(0) @binding(2) var<storage, read> scales: array<u32>;

struct Block { quants: vec4<u32>, d_m: vec2<f32> }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let at = block_index(row, block, n_blocks) * 32u + row % 32u;
    return Block(quants_at(at), unpack2x16float(scales[at]));
}

fn raw(b: Block, i: u32) -> vec4<f32> {
    return nibbles(b.quants[i % 4u], i / 4u);
}

// raw = 1 + nibble / 16.
fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(16.0 * b.d_m.x, b.d_m.y - 16.0 * b.d_m.x);
}
