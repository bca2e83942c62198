// attention with subgroups: one subgroup works for TOKENS tokens and HEADS query heads that share a
// key/value head, so for TOKENS * HEADS queries, over all positions, with the running maximum and sum
// of FlashAttention (arXiv:2205.14135); no score is ever stored and no barrier is needed. The workgroup
// is one subgroup of SUBGROUP lanes, a power of two from eight on; HEAD_DIM is a multiple of 32.
#import attention_subgroup_body

@group(0) @binding(1) var<storage, read> queries: array<vec4<f32>>;

const QUERIES = TOKENS * HEADS;

var<private> first_token: u32;

fn sees(m: u32, position: u32) -> bool {
    let own = p.pos + first_token + m / HEADS;
    return position <= own && position >= first_seen(own);
}

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first_head = group.x * HEADS;
    let kv_head = first_head / (p.n_heads / p.n_kv_heads);
    first_token = group.y * TOKENS;
    for (var m = 0u; m < QUERIES; m++) {
        let token = min(first_token + m / HEADS, p.n_tokens - 1u);
        let start = (token * p.n_heads + first_head + m % HEADS) * (HEAD_DIM / 4u);
        for (var c = 0u; c < PARTS; c++) {
            q[m * PARTS + c] = queries[start + c * 8u + lane % 8u] * p.scale;
        }
        largest[m] = MASKED;
    }
    let end = p.pos + min(first_token + TOKENS, p.n_tokens);
    walk(kv_head * p.n_slots, first_seen(p.pos + first_token), end, lane);
    for (var m = 0u; m < QUERIES; m++) {
        let token = first_token + m / HEADS;
        if token < p.n_tokens {
            put_out(m, (token * p.n_heads + first_head + m % HEADS) * (HEAD_DIM / 4u), lane);
        }
    }
}
