// matmul with subgroups: a lane owns ROWS rows, a workgroup WORKGROUP * ROWS rows of TOKENS tokens.
// The 32 values of x that a block of weights meets are loaded by eight lanes and broadcast, so a
// block costs one load of x a token. Needs subgroups of eight lanes or more.
// WGSL wants the lane of a broadcast as a constant, hence a copy of the step for each of the eight.
#import weight
#import layout
#import dot4
#import matmul_io

override WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let all_lane = group.x * WORKGROUP + lane;
    let first_token = group.y * TOKENS;
    let n_blocks = p.n_cols / 32u;
    var at: array<u32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        at[r] = row_begin(min(row_of(all_lane, r, ROWS), p.n_rows - 1u), p.n_cols);
    }
    var x_begin: array<u32, TOKENS>;
    for (var t = 0u; t < TOKENS; t++) {
        let token = p.first_token + min(first_token + t, p.n_tokens - 1u);
        x_begin[t] = token * (p.n_cols / 4u) + subgroup_lane % 8u;
    }
    var sum: array<f32, TOKENS * ROWS>;
    var offset = 0u;
    for (var first = 0u; first < n_blocks; first += SUPER) {
        var scales: array<Scales, ROWS>;
        let n = min(SUPER, n_blocks - first);
        for (var r = 0u; r < ROWS; r++) { scales[r] = load_scales(at[r] + offset, n); }
        offset += scale_words(n) * NEXT;
        for (var k = 0u; k < n; k++) {
            var block: array<Block, ROWS>;
            for (var r = 0u; r < ROWS; r++) { block[r] = load_block(scales[r], at[r] + offset, k); }
            var xs: array<vec4<f32>, TOKENS>;
            for (var t = 0u; t < TOKENS; t++) { xs[t] = x_at(x_begin[t] + (first + k) * 8u); }
            var w: array<vec4<f32>, ROWS>;
            for (var r = 0u; r < ROWS; r++) { w[r] = weights(scales[r], k, block[r], 0u); }
            for (var t = 0u; t < TOKENS; t++) {
                let xv = subgroupBroadcast(xs[t], 0u);
                for (var r = 0u; r < ROWS; r++) { sum[t * ROWS + r] = dot4(w[r], xv, sum[t * ROWS + r]); }
            }
            for (var r = 0u; r < ROWS; r++) { w[r] = weights(scales[r], k, block[r], 1u); }
            for (var t = 0u; t < TOKENS; t++) {
                let xv = subgroupBroadcast(xs[t], 1u);
                for (var r = 0u; r < ROWS; r++) { sum[t * ROWS + r] = dot4(w[r], xv, sum[t * ROWS + r]); }
            }
            for (var r = 0u; r < ROWS; r++) { w[r] = weights(scales[r], k, block[r], 2u); }
            for (var t = 0u; t < TOKENS; t++) {
                let xv = subgroupBroadcast(xs[t], 2u);
                for (var r = 0u; r < ROWS; r++) { sum[t * ROWS + r] = dot4(w[r], xv, sum[t * ROWS + r]); }
            }
            for (var r = 0u; r < ROWS; r++) { w[r] = weights(scales[r], k, block[r], 3u); }
            for (var t = 0u; t < TOKENS; t++) {
                let xv = subgroupBroadcast(xs[t], 3u);
                for (var r = 0u; r < ROWS; r++) { sum[t * ROWS + r] = dot4(w[r], xv, sum[t * ROWS + r]); }
            }
            for (var r = 0u; r < ROWS; r++) { w[r] = weights(scales[r], k, block[r], 4u); }
            for (var t = 0u; t < TOKENS; t++) {
                let xv = subgroupBroadcast(xs[t], 4u);
                for (var r = 0u; r < ROWS; r++) { sum[t * ROWS + r] = dot4(w[r], xv, sum[t * ROWS + r]); }
            }
            for (var r = 0u; r < ROWS; r++) { w[r] = weights(scales[r], k, block[r], 5u); }
            for (var t = 0u; t < TOKENS; t++) {
                let xv = subgroupBroadcast(xs[t], 5u);
                for (var r = 0u; r < ROWS; r++) { sum[t * ROWS + r] = dot4(w[r], xv, sum[t * ROWS + r]); }
            }
            for (var r = 0u; r < ROWS; r++) { w[r] = weights(scales[r], k, block[r], 6u); }
            for (var t = 0u; t < TOKENS; t++) {
                let xv = subgroupBroadcast(xs[t], 6u);
                for (var r = 0u; r < ROWS; r++) { sum[t * ROWS + r] = dot4(w[r], xv, sum[t * ROWS + r]); }
            }
            for (var r = 0u; r < ROWS; r++) { w[r] = weights(scales[r], k, block[r], 7u); }
            for (var t = 0u; t < TOKENS; t++) {
                let xv = subgroupBroadcast(xs[t], 7u);
                for (var r = 0u; r < ROWS; r++) { sum[t * ROWS + r] = dot4(w[r], xv, sum[t * ROWS + r]); }
            }
        }
        offset += quant_words(n) * NEXT;
    }
    for (var t = 0u; t < TOKENS; t++) {
        for (var r = 0u; r < ROWS; r++) {
            store(first_token + t, row_of(all_lane, r, ROWS), sum[t * ROWS + r]);
        }
    }
}
