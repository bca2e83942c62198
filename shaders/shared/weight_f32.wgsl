// F32: 32 weights = eight words of four. There are no scales; the binding holds one unused word.
@group(0) @binding(2) var<storage, read> scales: array<u32>;

struct Block { quants: array<vec4<u32>, 8> }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let at = block_index(row, block, n_blocks) * 256u + row % 32u;
    return Block(array<vec4<u32>, 8>(
        quants_at(at), quants_at(at + 32u), quants_at(at + 64u), quants_at(at + 96u),
        quants_at(at + 128u), quants_at(at + 160u), quants_at(at + 192u), quants_at(at + 224u),
    ));
}

fn raw(b: Block, i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(b.quants[i]);
}

fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}
