//! What tells one architecture from another: data, and all of it. A model is one of these and the
//! dimensions in its file.

use crate::backend::Gate;

/// How an architecture departs from Llama.
#[derive(Clone, Copy, Debug)]
pub(super) struct Architecture {
    /// `general.architecture`.
    pub name: &'static str,
    /// The rotary embedding pairs elements `i` and `i + rope_dim / 2`, not neighbours.
    pub rope_halves: bool,
    /// Every n-th layer is not rotated; 0: all are.
    pub no_rope_every: usize,
    /// Base of the rotary frequencies of layers with a window, where it is another than that of the others.
    pub local_rope_base: Option<f32>,
    /// Query and key heads are normalised.
    pub head_norm: bool,
    /// What attention and the feed-forward part give is normalised before it is added.
    pub post_norms: bool,
    /// Queries, keys and values are one tensor, gate and up another.
    pub fused_projections: bool,
    /// The activation of the feed-forward part.
    pub gate: Gate,
    /// The embedding is multiplied by the root of its width.
    pub scales_embedding: bool,
    /// Which layers see a window only.
    pub window: Window,
    /// Soft-caps of the scores and of the logits where the file tells none; 0: none.
    pub softcaps: [f32; 2],
    /// Layers of the one model whose scores are scaled by the width over the heads, not by the head.
    pub wide_query_layers: usize,
}

/// Which layers see a window only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// None.
    Never,
    /// All, where the file tells a window.
    Told,
    /// All but every n-th; the file must tell the window.
    AllButEvery(usize),
}

const LLAMA: Architecture = Architecture {
    name: "llama",
    rope_halves: false,
    no_rope_every: 0,
    local_rope_base: None,
    head_norm: false,
    post_norms: false,
    fused_projections: false,
    gate: Gate::Silu,
    scales_embedding: false,
    window: Window::Never,
    softcaps: [0.0; 2],
    wide_query_layers: 0,
};

const QWEN2: Architecture = Architecture { name: "qwen2", rope_halves: true, ..LLAMA };

const GEMMA2: Architecture = Architecture {
    name: "gemma2",
    post_norms: true,
    gate: Gate::Gelu,
    scales_embedding: true,
    window: Window::AllButEvery(2),
    softcaps: [50.0, 30.0],
    wide_query_layers: 46, // 27B
    ..QWEN2
};

/// The architectures that are run.
pub(super) const ARCHITECTURES: [Architecture; 7] = [
    LLAMA,
    Architecture { name: "smollm3", no_rope_every: 4, ..LLAMA },
    QWEN2,
    Architecture { name: "qwen3", head_norm: true, ..QWEN2 },
    GEMMA2,
    Architecture {
        name: "gemma3",
        head_norm: true,
        local_rope_base: Some(10_000.0),
        window: Window::AllButEvery(6),
        softcaps: [0.0; 2],
        wide_query_layers: 62, // 27B
        ..GEMMA2
    },
    Architecture { name: "phi3", fused_projections: true, window: Window::Told, ..QWEN2 },
];
