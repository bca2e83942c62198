// attention with subgroups: one subgroup works for one token and one key/value head, so for GROUP
// query heads, over all positions, with the running maximum and sum of FlashAttention
// (arXiv:2205.14135); no score is ever stored and no barrier is needed. For the scores a lane owns a
// position and the queries are broadcast; for the output a lane owns elements of the head and the
// probabilities are broadcast. The workgroup is one subgroup of SUBGROUP lanes, a multiple of eight;
// HEAD_DIM is a multiple of 32 and of SUBGROUP.
#import dot4
#import attention_io

const PARTS = HEAD_DIM / 32u;
const OUT = HEAD_DIM / SUBGROUP;

// Where the values of a position start; positions past the end have no weight and read the last one.
fn value_at(cache: u32, position: u32, n_positions: u32) -> u32 {
    return (cache + min(position, n_positions - 1u)) * HEAD_DIM;
}

@compute @workgroup_size(SUBGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let kv_head = group.x;
    let token = group.y;
    let n_positions = p.pos + token + 1u;
    let cache = kv_head * p.kv_capacity;

    var q: array<vec4<f32>, GROUP * PARTS>;
    for (var g = 0u; g < GROUP; g++) {
        let start = query_start(token, kv_head * GROUP + g);
        for (var c = 0u; c < PARTS; c++) {
            q[g * PARTS + c] = qkv[start + c * 8u + lane % 8u] * p.scale;
        }
    }
    var largest: array<f32, GROUP>;
    var total: array<f32, GROUP>;
    var acc: array<f32, GROUP * OUT>;
    for (var g = 0u; g < GROUP; g++) {
        largest[g] = MASKED;
    }

    for (var base = 0u; base < n_positions; base += SUBGROUP) {
        let position = min(base + lane, n_positions - 1u);
        var score: array<f32, GROUP>;
        for (var c = 0u; c < PARTS; c++) {
            let at = (cache + position) * (HEAD_DIM / 4u) + c * 8u;
            let k0 = k_cache[at + 0u];
            let k1 = k_cache[at + 1u];
            let k2 = k_cache[at + 2u];
            let k3 = k_cache[at + 3u];
            let k4 = k_cache[at + 4u];
            let k5 = k_cache[at + 5u];
            let k6 = k_cache[at + 6u];
            let k7 = k_cache[at + 7u];
            for (var g = 0u; g < GROUP; g++) {
                let part = q[g * PARTS + c];
                var s = score[g];
                s = dot4(k0, subgroupBroadcast(part, 0u), s);
                s = dot4(k1, subgroupBroadcast(part, 1u), s);
                s = dot4(k2, subgroupBroadcast(part, 2u), s);
                s = dot4(k3, subgroupBroadcast(part, 3u), s);
                s = dot4(k4, subgroupBroadcast(part, 4u), s);
                s = dot4(k5, subgroupBroadcast(part, 5u), s);
                s = dot4(k6, subgroupBroadcast(part, 6u), s);
                s = dot4(k7, subgroupBroadcast(part, 7u), s);
                score[g] = s;
            }
        }
        for (var g = 0u; g < GROUP; g++) {
            let s = select(MASKED, score[g], base + lane < n_positions);
            let now = max(largest[g], subgroupMax(s));
            let shrink = exp(largest[g] - now);
            score[g] = exp(s - now);
            total[g] = fma(total[g], shrink, score[g]);
            largest[g] = now;
            for (var i = 0u; i < OUT; i++) {
                acc[g * OUT + i] *= shrink;
            }
        }
        for (var first = 0u; first < SUBGROUP; first += 8u) {
            var weight: array<f32, GROUP>;
            for (var g = 0u; g < GROUP; g++) {
                if SUBGROUP == 8u {
                    weight[g] = score[g];
                } else {
                    weight[g] = subgroupShuffle(score[g], first + lane % 8u);
                }
            }
            for (var i = 0u; i < OUT; i++) {
                let v0 = v_cache[value_at(cache, base + first + 0u, n_positions) + i * SUBGROUP + lane];
                let v1 = v_cache[value_at(cache, base + first + 1u, n_positions) + i * SUBGROUP + lane];
                let v2 = v_cache[value_at(cache, base + first + 2u, n_positions) + i * SUBGROUP + lane];
                let v3 = v_cache[value_at(cache, base + first + 3u, n_positions) + i * SUBGROUP + lane];
                let v4 = v_cache[value_at(cache, base + first + 4u, n_positions) + i * SUBGROUP + lane];
                let v5 = v_cache[value_at(cache, base + first + 5u, n_positions) + i * SUBGROUP + lane];
                let v6 = v_cache[value_at(cache, base + first + 6u, n_positions) + i * SUBGROUP + lane];
                let v7 = v_cache[value_at(cache, base + first + 7u, n_positions) + i * SUBGROUP + lane];
                for (var g = 0u; g < GROUP; g++) {
                    var a = acc[g * OUT + i];
                    a = fma(subgroupBroadcast(weight[g], 0u), v0, a);
                    a = fma(subgroupBroadcast(weight[g], 1u), v1, a);
                    a = fma(subgroupBroadcast(weight[g], 2u), v2, a);
                    a = fma(subgroupBroadcast(weight[g], 3u), v3, a);
                    a = fma(subgroupBroadcast(weight[g], 4u), v4, a);
                    a = fma(subgroupBroadcast(weight[g], 5u), v5, a);
                    a = fma(subgroupBroadcast(weight[g], 6u), v6, a);
                    a = fma(subgroupBroadcast(weight[g], 7u), v7, a);
                    acc[g * OUT + i] = a;
                }
            }
        }
    }

    for (var g = 0u; g < GROUP; g++) {
        let sum = subgroupAdd(total[g]);
        let start = (token * p.n_heads + kv_head * GROUP + g) * HEAD_DIM;
        for (var i = 0u; i < OUT; i++) {
            out[start + i * SUBGROUP + lane] = acc[g * OUT + i] / sum;
        }
    }
}
