//! Compares tokenizers and chat templates with reference data that `cargo xtask conformance` fetches
//! and makes, and says for each how much agrees.
//!
//! Usage: `conformance FOLDER CASES`. FOLDER holds vocabularies as `ggml-vocab-*.gguf` with texts in
//! `.gguf.inp` and their ids in `.gguf.out`, and `templates/*.jinja`; CASES is the JSON file of
//! reference renderings. The exit code is 1 if a difference is unexplained.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use halfbyte::{ChatTemplate, Gguf, Message, RenderOptions, Token, Tokenizer};
use halfbyte_tests::gguf_writer::GgufWriter;
use serde::Deserialize;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Stands between two texts of an `.inp` file.
const SEPARATOR: &str = "\n__ggml_vocab_test__\n";

/// Vocabularies that are not run, and why that is no fault.
const NOT_RUN: &[(&str, &str)] = &[
    ("ggml-vocab-bert-bge.gguf", "WordPiece of an embedding model, which writes no text"),
    ("ggml-vocab-gemma-4.gguf", "Gemma 4 is not among the architectures that run"),
];

/// Why HTML is not written.
const MARKUP: &str = "it joins the tools to text marked |safe, so Jinja2 escapes them as HTML (&lt;, &#34;); \
                      here they stay as they are";

/// Why a number is written otherwise.
const NUMBER: &str = "it writes a number below 0.0001 without tojson: 1e-5 or 0.00001 here, 1e-05 in Python";

/// Templates with differences, the cases that differ, and why that is no fault.
const EXPLAINED: &[(&str, &[&str], &str)] = &[
    ("meetkai-functionary-medium-v3.1.jinja", &["+ tools", "+ tiny number"], MARKUP),
    ("Apriel-1.6-15b-Thinker-fixed.jinja", &["+ tiny number"], NUMBER),
    ("GigaChat3-10B-A1.8B.jinja", &["+ tiny number"], NUMBER),
    ("GigaChat3.1-10B-A1.8B.jinja", &["+ tiny number"], NUMBER),
    ("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16.jinja", &["+ tiny number"], NUMBER),
    ("Qwen3-Coder.jinja", &["+ tiny number"], NUMBER),
    ("meetkai-functionary-medium-v3.2.jinja", &["+ tiny number"], NUMBER),
    ("unsloth-Apriel-1.5.jinja", &["+ tiny number"], NUMBER),
];

/// The special tokens that the reference renders with.
const BOS: &str = "<|bos|>";
const EOS: &str = "<|eos|>";

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, cases] = &arguments[..] else {
        eprintln!("usage: conformance FOLDER CASES");
        return ExitCode::from(2);
    };
    match (compare_vocabularies(folder), compare_templates(&folder.join("templates"), cases)) {
        (Ok(0), Ok(0)) => ExitCode::SUCCESS,
        (Ok(vocabularies), Ok(templates)) => {
            println!(
                "\n{} vocabularies and templates differ without an explanation",
                vocabularies + templates
            );
            ExitCode::FAILURE
        }
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many of how many cases agree, and what the others do.
#[derive(Default)]
struct Tally {
    agree: usize,
    total: usize,
    /// The name of a case and what differs in it.
    differences: Vec<(String, String)>,
}

impl Tally {
    fn count(&mut self, case: &str, difference: Option<String>) {
        self.total += 1;
        match difference {
            None => self.agree += 1,
            Some(difference) => self.differences.push((case.to_owned(), difference)),
        }
    }

    /// Prints the line of `name` and what differs; whether that is more than [`EXPLAINED`] explains.
    fn report(&self, name: &str, remark: &str) -> bool {
        println!("{name:<58} {:>4} of {:>4}  {remark}", self.agree, self.total);
        let explanation = EXPLAINED.iter().find(|(explained, _, _)| *explained == name);
        let is_explained = |case: &str| {
            explanation.is_some_and(|(_, cases, _)| cases.iter().any(|word| case.contains(word)))
        };
        let (explained, others): (Vec<_>, Vec<_>) =
            self.differences.iter().partition(|(case, _)| is_explained(case));
        if let Some((_, _, why)) = explanation.filter(|_| !explained.is_empty()) {
            println!("    {} explained: {why}", explained.len());
        }
        for (case, difference) in others.iter().take(3) {
            println!("    {case}: {difference}");
        }
        !others.is_empty()
    }
}

/// The number of vocabularies with unexplained differences.
fn compare_vocabularies(folder: &Path) -> Result<usize> {
    println!("Vocabularies: texts whose ids are those of the reference and decode to the text");
    let mut differ = 0;
    let (mut agree, mut total) = (0, 0);
    for path in files(folder, ".gguf.inp")? {
        let vocabulary = path.with_extension("");
        let name = file_name(&vocabulary);
        if let Some((_, why)) = NOT_RUN.iter().find(|(not_run, _)| *not_run == name) {
            println!("{name:<58}      not run  {why}");
            continue;
        }
        let clock = Instant::now();
        let tokenizer = Gguf::open(&vocabulary).and_then(|gguf| Tokenizer::from_gguf(&gguf));
        let remark = format!("opened and built in {:.2} s", clock.elapsed().as_secs_f64());
        let tally = match tokenizer {
            Ok(tokenizer) => compare_ids(&tokenizer, &path, &vocabulary.with_extension("gguf.out"))?,
            Err(error) => {
                let mut tally = Tally::default();
                tally.count("building", Some(error.to_string()));
                tally
            }
        };
        (agree, total) = (agree + tally.agree, total + tally.total);
        differ += usize::from(tally.report(&name, &remark));
    }
    println!("{:<58} {agree:>4} of {total:>4}", "all vocabularies");
    Ok(differ)
}

fn compare_ids(tokenizer: &Tokenizer, texts: &Path, ids: &Path) -> Result<Tally> {
    let texts = fs::read_to_string(texts)?;
    let texts = texts.strip_suffix(SEPARATOR).unwrap_or(&texts).split(SEPARATOR);
    let ids = fs::read_to_string(ids)?;
    let mut tally = Tally::default();
    let mut lines = ids.lines();
    for text in texts {
        let line = lines.next().ok_or("the reference has fewer lines of ids than texts")?;
        let expected: Vec<Token> =
            line.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?;
        let found = tokenizer.encode(text, false)?;
        let decoded = tokenizer.decode(&found);
        let difference = (found != expected || decoded != text)
            .then(|| format!("{expected:?} became {found:?}, decoded {decoded:?}"));
        tally.count(&format!("{text:?}"), difference);
    }
    Ok(tally)
}

/// A conversation for a template, and what `transformers` makes of it.
#[derive(Deserialize)]
struct Case {
    template: String,
    name: String,
    messages: Vec<Message>,
    #[serde(default)]
    tools: Option<serde_json::Value>,
    #[serde(default)]
    thinking: Option<bool>,
    add_generation_prompt: bool,
    rendered: Option<String>,
    /// Whether the template itself refuses the messages.
    #[serde(default)]
    refused: bool,
}

/// The number of templates with unexplained differences.
fn compare_templates(folder: &Path, cases: &Path) -> Result<usize> {
    println!("\nTemplates: renderings that are, byte for byte, those of transformers, or refused by both");
    let cases: Vec<Case> = serde_json::from_str(&fs::read_to_string(cases)?)?;
    let mut by_template: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in &cases {
        by_template.entry(&case.template).or_default().push(case);
    }
    let mut differ = 0;
    let (mut agree, mut total) = (0, 0);
    for (name, cases) in by_template {
        let source = fs::read_to_string(folder.join(name))?;
        let (comparable, others): (Vec<&Case>, Vec<&Case>) =
            cases.into_iter().partition(|case| case.rendered.is_some() || case.refused);
        let tally = compare_renderings(&source, &comparable);
        let remark = match others.len() {
            0 => String::new(),
            n => format!("{n} more fail in transformers"),
        };
        (agree, total) = (agree + tally.agree, total + tally.total);
        differ += usize::from(tally.report(name, &remark));
    }
    println!("{:<58} {agree:>4} of {total:>4}", "all templates");
    Ok(differ)
}

fn compare_renderings(source: &str, cases: &[&Case]) -> Tally {
    let mut tally = Tally::default();
    let template = compile(source);
    for case in cases {
        let difference = match (template.as_ref().map(|template| render(template, case)), &case.rendered) {
            (Ok(Ok(text)), Some(expected)) if text == *expected => None,
            (Ok(Ok(text)), Some(expected)) => Some(first_difference(&text, expected)),
            (Ok(Ok(_)), None) => Some("transformers refuses it".into()),
            (Ok(Err(_)), None) => None,
            (Ok(Err(error)), Some(_)) => Some(error.to_string()),
            (Err(error), _) => Some(error.to_string()),
        };
        tally.count(&case.name, difference);
    }
    tally
}

fn render(template: &ChatTemplate, case: &Case) -> halfbyte::Result<String> {
    let options = RenderOptions {
        add_generation_prompt: case.add_generation_prompt,
        tools: case.tools.clone(),
        thinking: case.thinking,
    };
    Ok(template.render(&case.messages, &options)?.text())
}

/// The template in a file whose only tokens are the special ones.
fn compile(source: &str) -> Result<ChatTemplate> {
    let file = GgufWriter::new()
        .strs("tokenizer.ggml.tokens", &[BOS, EOS])
        .i32s("tokenizer.ggml.token_type", &[3, 3])
        .u32("tokenizer.ggml.bos_token_id", 0)
        .u32("tokenizer.ggml.eos_token_id", 1)
        .str("tokenizer.chat_template", source);
    let template = ChatTemplate::from_gguf(&Gguf::from_bytes(file.build())?)?;
    Ok(template.ok_or("the template is lost")?)
}

/// Where two texts part, with a little of both.
fn first_difference(found: &str, expected: &str) -> String {
    let same = found.chars().zip(expected.chars()).take_while(|(a, b)| a == b).count();
    let excerpt = |text: &str| text.chars().skip(same.saturating_sub(20)).take(60).collect::<String>();
    format!("at letter {same}: {:?} instead of {:?}", excerpt(found), excerpt(expected))
}

/// The files of `folder` whose names end in `suffix`, sorted.
fn files(folder: &Path, suffix: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if file_name(&path).ends_with(suffix) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
