// Quants that lie in planes of bits: the nibble, the two bits or the bit of weights 4 i .. 4 i + 3 of a
// block of 32 as four bytes, and bytes as floats.

// Nibble j of each byte of `word`.
fn nibble_bytes(word: u32, j: u32) -> u32 {
    return (word >> (4u * j)) & 0x0f0f0f0fu;
}

// Two bits of weights 4 i .. 4 i + 3. Byte k of word c holds those of weights 4 c + k and, above them,
// 4 c + k + 16; the bits above are those of a second block, which `pair_of` brings down.
fn pair_bytes(words: vec4<u32>, i: u32) -> u32 {
    return (words[i % 4u] >> (2u * (i / 4u))) & 0x03030303u;
}

fn pair_of(words: vec4<u32>, block: u32) -> vec4<u32> {
    return words >> vec4<u32>(4u * (block % 2u));
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
