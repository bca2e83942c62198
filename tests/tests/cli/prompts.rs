//! `tokenize` and `render` against the references of the tokenizer fixture, which Hugging Face
//! `tokenizers` and Jinja2 made.

use halfbyte_tests::fixtures;
use serde_json::{Value, json};

use crate::{Folder, quiet, run, tiny, with_template, without_format, without_template};

fn reference() -> Value {
    let text = std::fs::read_to_string(fixtures::path("tokenizer/llama-s.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn tokenize_gives_the_reference_ids() {
    let folder = Folder::new();
    for case in reference()["texts"].as_array().unwrap() {
        let file = folder.write("text", case["text"].as_str().unwrap());
        let tokens = quiet(&["tokenize", &tiny(), "--file", &file, "--json"]).json();
        assert_eq!(tokens["ids"], case["ids"], "{}", case["text"]);
    }
}

#[test]
fn tokenize_prints_a_line_for_each_token() {
    let lines = quiet(&["tokenize", &tiny(), "--text", "the\n"]).stdout;
    let tokens = quiet(&["tokenize", &tiny(), "--text", "the\n", "--json"]).json();
    let (ids, pieces) = (tokens["ids"].as_array().unwrap(), tokens["pieces"].as_array().unwrap());
    let expected = ids.iter().zip(pieces).map(|(id, piece)| format!("{id}\t{}\n", piece.as_str().unwrap()));
    assert_eq!(lines, expected.collect::<String>());
    assert!(lines.ends_with("\tĊ\n"), "{lines}");
}

#[test]
fn tokenize_takes_control_tokens_for_text_when_told_to() {
    let text = "<|im_start|>";
    let special = quiet(&["tokenize", &tiny(), "--text", text, "--json"]).json();
    let plain = quiet(&["tokenize", &tiny(), "--text", text, "--json", "--no-special"]).json();
    assert_eq!(special["pieces"], json!([text]));
    let letters: String = plain["pieces"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(letters, text);
    assert!(plain["ids"].as_array().unwrap().len() > 4);
}

#[test]
fn render_gives_the_reference_prompt() {
    let folder = Folder::new();
    let chat = &reference()["chat"];
    let messages = folder.write("messages.json", chat["messages"].to_string());
    let prompt = quiet(&["render", &tiny(), "--messages", &messages]).stdout;
    assert_eq!(prompt, chat["rendered"].as_str().unwrap());

    let bare = quiet(&["render", &tiny(), "--messages", &messages, "--no-generation-prompt"]).stdout;
    assert_eq!(prompt.strip_prefix(&bare), Some("<|im_start|>assistant\n"));
}

#[test]
fn render_takes_tools_and_a_thinking_switch() {
    let folder = Folder::new();
    let messages = folder.write("messages.json", r#"[{"role": "user", "content": "Hi"}]"#);
    let tools = folder.write("tools.json", r#"[{"type": "function", "function": {"name": "tide"}}]"#);
    let template = "{{tools|tojson}}{{enable_thinking}}";
    let model = folder.write("model.gguf", with_template(template));
    let rendered = |args: &[&str]| {
        let args = [&["render", &model, "--messages", &messages], args].concat();
        quiet(&args).stdout.to_lowercase()
    };
    assert_eq!(rendered(&[]), "null");
    assert_eq!(rendered(&["--thinking", "on"]), "nulltrue");
    let tools = ["--tools", &tools, "--thinking", "off"];
    assert_eq!(rendered(&tools), r#"[{"type": "function", "function": {"name": "tide"}}]false"#);
}

#[test]
fn tools_are_a_list() {
    let folder = Folder::new();
    let messages = folder.write("messages.json", "[]");
    for content in ["{}", "secret"] {
        let tools = folder.write("tools.json", content);
        let run = run(&["render", &tiny(), "--messages", &messages, "--tools", &tools]);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""));
        assert!(run.stderr.contains("no JSON array of tools: line 1"), "{}", run.stderr);
        assert!(!run.stderr.contains("secret"));
    }
}

#[test]
fn render_does_not_quote_messages_that_it_cannot_read() {
    let folder = Folder::new();
    for content in [r#"{"role": "user"}"#, r#"["secret"]"#, "secret", r#"[{"content": "secret"}]"#] {
        let messages = folder.write("messages.json", content);
        let run = run(&["render", &tiny(), "--messages", &messages]);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""));
        assert!(run.stderr.contains("no JSON array of") && run.stderr.contains("line 1"), "{}", run.stderr);
        assert!(!run.stderr.contains("secret"));
    }
}

#[test]
fn render_says_when_the_template_cannot_switch_thinking() {
    let folder = Folder::new();
    let messages = folder.write("messages.json", r#"[{"role": "user", "content": "Hi"}]"#);
    let args = ["render", &tiny(), "--messages", &messages];
    let prompt = quiet(&args).stdout;
    let run = run(&[&args[..], &["--thinking", "off"]].concat());
    assert_eq!((run.code, run.stdout), (0, prompt));
    assert_eq!(run.stderr, "the chat template has no switch for thinking\n");
}

#[test]
fn without_a_template_render_takes_the_built_in_one() {
    let folder = Folder::new();
    let model = folder.write("model.gguf", without_template());
    let messages = folder.write("messages.json", reference()["chat"]["messages"].to_string());
    let run = run(&["render", &model, "--messages", &messages]);
    assert_eq!((run.code, &*run.stdout), (0, reference()["chat"]["rendered"].as_str().unwrap()));
    let expected = "this model file has no chat template: the built-in one for ChatML is used\n";
    assert_eq!(run.stderr, expected);
}

#[test]
fn without_any_template_render_says_so() {
    let folder = Folder::new();
    let model = folder.write("model.gguf", without_format());
    let messages = folder.write("messages.json", "[]");
    let run = run(&["render", &model, "--messages", &messages]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert_eq!(run.stderr, "error: this model file has no chat template to render\n");
}
