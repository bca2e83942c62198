// The header of a super-block of Q3_K, Q4_K and Q5_K: a word of two halves, then for each of eight blocks
// a pair of six-bit numbers, whose bits lie in the block's nibbles of three words: the low four of the
// first, those of the second, and the two high bits of both.
fn six_bit_pair(header: vec4<u32>, block: u32) -> vec2<f32> {
    let shift = 4u * (block % 8u);
    let low = (header.yz >> vec2<u32>(shift)) & vec2<u32>(15u);
    let high = header.w >> shift;
    return vec2<f32>(low | vec2<u32>((high & 3u) << 4u, (high & 12u) << 2u));
}
