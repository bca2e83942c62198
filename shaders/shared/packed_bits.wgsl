// Quants that lie in planes of bits: the nibble, the two bits or the bit of weights 4 i .. 4 i + 3 of a
// block of 32 as four bytes, and bytes as floats.

// Nibble j of each byte of `word`.
fn nibble_bytes(word: u32, j: u32) -> u32 {
    return (word >> (4u * j)) & 0x0f0f0f0fu;
}

// Two bits of weights 4 i .. 4 i + 3: bits 2 i of each byte, of the second word from weight 16 on.
fn pair_bytes(words: vec2<u32>, i: u32) -> u32 {
    return (words[i / 4u] >> (2u * (i % 4u))) & 0x03030303u;
}

// The two bits of a block, of a word that holds those of two blocks.
fn pair_of(word: vec4<u32>, block: u32) -> vec2<u32> {
    return select(word.xy, word.zw, block % 2u == 1u);
}

// The bit of weights 4 i .. 4 i + 3: bit i of each byte.
fn bit_bytes(word: u32, i: u32) -> u32 {
    return (word >> i) & 0x01010101u;
}

// The bytes of `word`, each of at most `bits` bits, as 1 + byte / 2^bits, made without a conversion: a
// byte becomes the top of a mantissa.
fn unit_floats(word: u32, bits: u32) -> vec4<f32> {
    let spread = vec4<u32>(word << (23u - bits), word << (15u - bits), word << (7u - bits), word >> (1u + bits));
    let mask = ((1u << bits) - 1u) << (23u - bits);
    return bitcast<vec4<f32>>((spread & vec4<u32>(mask)) | vec4<u32>(0x3f800000u));
}
