// Q2_K: a super-block of 256 weights = four words of two bits, a word for two blocks of 32; 16 bytes of
// scales, the low nibble the scale and the high one the minimum of 16 weights; a u32 of the halves d and
// dmin. weight = d * scale * q - dmin * minimum.
#import packed_bits
@group(0) @binding(2) var<storage, read> scales: array<u32>;

// Of the 16 weights of each half of the block: 4 * d * scale, and that plus dmin * minimum.
struct Block { quants: vec4<u32>, scale: vec2<f32>, offset: vec2<f32> }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let lane = row % 32u;
    let super_block = block_index(row, block / 8u, n_blocks / 8u);
    let pair = (block / 2u) % 4u;
    let at = super_block * 160u + lane;
    let bytes = vec2<u32>(scales[at + pair * 32u] >> (16u * (block % 2u))) >> vec2<u32>(0u, 8u);
    let d_dmin = unpack2x16float(scales[at + 128u]);
    let scale = 4.0 * d_dmin.x * vec2<f32>(bytes & vec2<u32>(15u));
    let offset = fma(vec2<f32>((bytes >> vec2<u32>(4u)) & vec2<u32>(15u)), vec2<f32>(d_dmin.y), scale);
    return Block(pair_of(quants_at(super_block * 128u + pair * 32u + lane), block), scale, offset);
}

// The weight: (1 + q / 4) * scale - offset.
fn raw(b: Block, i: u32) -> vec4<f32> {
    let half = i / 4u;
    return fma(unit_floats(pair_bytes(b.quants, i), 2u), vec4<f32>(b.scale[half]), vec4<f32>(-b.offset[half]));
}

fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}
