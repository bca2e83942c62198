// What the variants of attention share.
struct AttentionParams {
    n_tokens: u32,
    pos: u32,
    n_heads: u32,
    n_kv_heads: u32,
    head_dim: u32,
    n_slots: u32,
    rope_dim: u32,
    halves: u32,
    has_norm: u32,
    has_bias: u32,
    eps: f32,
    scale: f32,
    window: u32,
    softcap: f32,
}

@group(0) @binding(0) var<uniform> p: AttentionParams;

#import capped

// A score that no finite one falls below, and that stays finite in a difference.
const MASKED: f32 = -1e30;

// The first position that a row sees whose own is `position`.
fn first_seen(position: u32) -> u32 {
    return position + 1u - min(position + 1u, p.window);
}

// The slot of a position, given one at or before it and that one's slot.
fn slot_of(position: u32, first: u32, first_slot: u32) -> u32 {
    let slot = position - first + first_slot;
    return select(slot, slot - p.n_slots, slot >= p.n_slots);
}

fn capped_score(score: f32) -> f32 {
    if SOFTCAP == 1u {
        return capped(score, p.softcap);
    }
    return score;
}
