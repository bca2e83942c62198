// Types whose quants are nibbles as in Q4_0 and fifth bits.
#import int_blocks

fn packed(s: Scales, k: u32, b: Block, i: u32) -> u32 {
    return nibble_bytes(b.quants[i % 4u], i / 4u) | (bit_bytes(b.high, i) << 4u);
}
