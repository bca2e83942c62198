//! GGUF files with a byte-level vocabulary and no tensors, for tests that need one of a certain shape.

use halfbyte::Gguf;
use halfbyte_tests::gguf_writer::GgufWriter;

/// `tokenizer.ggml.token_type` of a normal token.
pub const NORMAL: i32 = 1;
/// `tokenizer.ggml.token_type` of a control token.
pub const CONTROL: i32 = 3;
/// `tokenizer.ggml.token_type` of a user-defined token.
pub const USER_DEFINED: i32 = 4;

/// What goes into the file. It begins as the 256 letters of GPT-2's byte alphabet and no merges.
#[derive(Clone)]
pub struct ToyVocabulary {
    pub model: &'static str,
    pub pre: &'static str,
    pub tokens: Vec<String>,
    pub types: Vec<i32>,
    pub merges: Vec<String>,
    /// Any other metadata.
    pub rest: GgufWriter,
}

impl ToyVocabulary {
    pub fn new() -> ToyVocabulary {
        let printable = |byte: &u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
        let letters = (0..256).filter(printable).chain(256..256 + 68);
        let tokens = letters.filter_map(char::from_u32).map(String::from);
        ToyVocabulary {
            model: "gpt2",
            pre: "gpt-2",
            tokens: tokens.collect(),
            types: vec![NORMAL; 256],
            merges: Vec::new(),
            rest: GgufWriter::new(),
        }
    }

    /// Adds a token and returns its id.
    pub fn add(&mut self, spelling: &str, token_type: i32) -> u32 {
        self.tokens.push(spelling.into());
        self.types.push(token_type);
        self.tokens.len() as u32 - 1
    }

    pub fn gguf(&self) -> Gguf {
        let file = self
            .rest
            .clone()
            .str("tokenizer.ggml.model", self.model)
            .str("tokenizer.ggml.pre", self.pre)
            .strs("tokenizer.ggml.tokens", &borrowed(&self.tokens))
            .i32s("tokenizer.ggml.token_type", &self.types)
            .strs("tokenizer.ggml.merges", &borrowed(&self.merges));
        Gguf::from_bytes(file.build()).expect("a sound file")
    }
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}
