// Q4_K: a super-block of 256 weights = a header (d, dmin, six-bit scale and minimum of each block of 32)
// and eight words of nibbles, each as in Q4_0; weight = d * scale * nibble - dmin * minimum. There are no
// other scales; the binding holds one unused word.
#import six_bit_pairs
@group(0) @binding(2) var<storage, read> scales: array<u32>;

// d * scale and dmin * minimum.
struct Block { quants: vec4<u32>, d_m: vec2<f32> }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let at = block_index(row, block / 8u, n_blocks / 8u) * 288u + row % 32u;
    let header = quants_at(at);
    return Block(
        quants_at(at + 32u + (block % 8u) * 32u),
        unpack2x16float(header.x) * six_bit_pair(header, block),
    );
}

fn raw(b: Block, i: u32) -> vec4<f32> {
    return nibbles(b.quants[i % 4u], i / 4u);
}

// raw = 1 + nibble / 16.
fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(16.0 * b.d_m.x, fma(-16.0, b.d_m.x, -b.d_m.y));
}
