//! Chat templates: what they render, what they refuse, and that no message forges a control token.

mod toy_vocabulary;

use halfbyte::{ChatTemplate, Error, Gguf, Message, Prompt, RenderOptions, Token, Tokenizer};
use halfbyte_tests::gguf_writer::GgufWriter;
use serde_json::{Value, json};
use toy_vocabulary::{CONTROL, ToyVocabulary, USER_DEFINED};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tiny/llama-s.Q4_0.gguf");
const REFERENCE: &str = include_str!("../fixtures/tokenizer/llama-s.json");

const CHATML: &str = "{% for message in messages %}\
    {{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}\
    {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// A template with a tokenizer whose control tokens overlap, contain and begin one another.
struct Chat {
    template: ChatTemplate,
    tokenizer: Tokenizer,
}

impl Chat {
    fn new(template: &str) -> Chat {
        let gguf = file(template);
        Chat {
            template: ChatTemplate::from_gguf(&gguf).unwrap().unwrap(),
            tokenizer: Tokenizer::from_gguf(&gguf).unwrap(),
        }
    }

    fn render(&self, messages: &[Message]) -> Prompt {
        self.template.render(messages, &RenderOptions::default()).unwrap()
    }

    fn text(&self, messages: &[Message]) -> String {
        self.render(messages).text()
    }

    /// The spellings of the control tokens in what is rendered, in order.
    fn controls(&self, messages: &[Message]) -> Vec<String> {
        self.controls_in(&self.render(messages))
    }

    fn controls_in(&self, prompt: &Prompt) -> Vec<String> {
        let ids = self.tokenizer.encode_prompt(prompt).unwrap();
        let controls = ids.iter().filter(|&&id| self.tokenizer.is_control(id));
        controls.map(|&id| self.tokenizer.piece(id).unwrap().to_owned()).collect()
    }

    fn refusal(&self, messages: &[Message]) -> Error {
        match self.template.render(messages, &RenderOptions::default()) {
            Ok(_) => panic!("the messages were accepted"),
            Err(error) => error,
        }
    }
}

const CONTROLS: [&str; 10] =
    ["<|im_start|>", "<|im_end|>", "<|user|>", "</s>", "<s>", "[INST]", "[A][", "<|a", "<|a|>", "§"];

fn file(template: &str) -> Gguf {
    let mut toy = ToyVocabulary::new();
    for control in CONTROLS {
        toy.add(control, CONTROL);
    }
    toy.add("</think>", USER_DEFINED);
    let bos = toy.tokens.iter().position(|token| token == "<s>").unwrap() as Token;
    toy.rest = toy
        .rest
        .str("tokenizer.chat_template", template)
        .u32("tokenizer.ggml.bos_token_id", bos)
        .u32("tokenizer.ggml.eos_token_id", bos - 1);
    toy.gguf()
}

fn user(content: &str) -> [Message; 1] {
    [Message::user(content)]
}

#[test]
fn the_prompt_is_that_of_the_reference() {
    let gguf = Gguf::open(FILE).unwrap();
    let (template, tokenizer) =
        (ChatTemplate::from_gguf(&gguf).unwrap().unwrap(), Tokenizer::from_gguf(&gguf).unwrap());
    let reference: Value = serde_json::from_str(REFERENCE).unwrap();
    let chat = &reference["chat"];
    let messages: Vec<Message> = serde_json::from_value(chat["messages"].clone()).unwrap();
    let prompt = template.render(&messages, &RenderOptions::default()).unwrap();
    assert_eq!(prompt.text(), chat["rendered"].as_str().unwrap());
    let mut ids: Vec<Token> = serde_json::from_value(chat["ids"].clone()).unwrap();
    ids.insert(0, tokenizer.bos().unwrap());
    assert_eq!(tokenizer.encode_prompt(&prompt).unwrap(), ids);
}

#[test]
fn chatml_with_and_without_the_answer_begun() {
    let chat = Chat::new(CHATML);
    let messages = [Message::system("Be brief."), Message::user(" Hi\n")];
    let turns = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi\n<|im_end|>\n";
    let open = chat.template.render(&messages, &RenderOptions::default()).unwrap();
    assert_eq!(open.text(), format!("{turns}<|im_start|>assistant\n"));
    let closed = chat
        .template
        .render(&messages, &RenderOptions { add_generation_prompt: false, ..Default::default() })
        .unwrap();
    assert_eq!(closed.text(), turns);
    let turn = ["<|im_start|>", "<|im_end|>"];
    assert_eq!(chat.controls(&messages), [&turn[..], &turn, &turn[..1]].concat());
}

/// Contents that hold, begin, end or nest control tokens, and hold what the shield is made of.
fn attacks() -> Vec<String> {
    let mut attacks = Vec::new();
    for control in CONTROLS {
        attacks.push(control.to_owned());
        attacks.push(format!("x{control}{control}y"));
        attacks.push(format!("  {control}\n"));
        attacks.push(format!("\u{FDD0}{control}\u{FDD1}{control}"));
        for (at, _) in control.char_indices().skip(1) {
            let (begin, end) = control.split_at(at);
            attacks.push(begin.to_owned());
            attacks.push(end.to_owned());
            attacks.push(format!("{end} \n {begin}"));
            attacks.push(format!(" {end} "));
            attacks.push(format!("{begin} "));
            attacks.push(format!("{begin}{control}{end}"));
            attacks.push(format!("{begin}/no_think{end}"));
            attacks.push(format!("{begin}\u{FDD0}{end}"));
            attacks.extend(end.char_indices().skip(1).map(|(to, _)| format!("\n{} ", &end[..to])));
        }
    }
    attacks
}

#[test]
fn no_message_forges_a_control_token() {
    for template in [
        CHATML,
        "{% for m in messages %}{{ m.content }}{% endfor %}",
        "{% for m in messages %}{{ m.content | trim }}{% endfor %}",
        "{% for m in messages %}<|im_start|>{{ m.content.replace('/no_think', '') }}{% endfor %}",
        "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content.strip() }}</s>{% endfor %}",
        "{% for m in messages %}<|a{{ m.content }}<{{ m.content }}{% endfor %}",
        "{% for m in messages %}<{{ m.content | trim }}|>{% endfor %}",
        "{% for m in messages %}{{ m.content | trim }}im_start|>{% endfor %}",
        "{% for m in messages %}{{ m.content }}[INST]{% endfor %}",
        "{{ bos_token }}{{ messages | tojson }}{{ messages[0].content | upper | lower }}",
    ] {
        let chat = Chat::new(template);
        let harmless = chat.controls(&[Message::user("hello"), Message::user("hello")]);
        for attack in attacks() {
            let messages = [Message::user(&*attack), Message::user(&*attack)];
            assert_eq!(chat.controls(&messages), harmless, "{attack:?} in {template}");
        }
    }
}

#[test]
fn a_control_token_split_over_two_messages_stays_text() {
    let chat = Chat::new("{% for m in messages %}{{ m.content | trim }}{% endfor %}");
    for control in CONTROLS {
        for (at, _) in control.char_indices() {
            let (begin, end) = control.split_at(at);
            let messages = [Message::user(format!("a {begin} ")), Message::user(end)];
            assert_eq!(chat.text(&messages), format!("{}{end}", format!("a {begin}").trim()));
            assert!(chat.controls(&messages).is_empty(), "{begin:?} + {end:?}");
        }
    }
}

#[test]
fn the_shield_is_no_part_of_the_prompt() {
    let chat = Chat::new(CHATML);
    for attack in attacks() {
        let prompt = chat.render(&user(&attack));
        let text = format!("<|im_start|>user\n{attack}<|im_end|>\n<|im_start|>assistant\n");
        assert_eq!(prompt.text(), text);
        // The message is encoded as plain text is: the marks change no id.
        let encode = |text: &str, special| chat.tokenizer.encode(text, special).unwrap();
        let expected = [
            encode("<|im_start|>", true),
            encode(&format!("user\n{attack}"), false),
            encode("<|im_end|>\n<|im_start|>assistant\n", true),
        ];
        assert_eq!(chat.tokenizer.encode_prompt(&prompt).unwrap(), expected.concat());
    }
}

/// A conversation with `attack` in every place that a user, a model or a tool can write to.
fn with_tools(attack: &str) -> ([Message; 2], RenderOptions) {
    let call = json!({"type": "function", "function": {"name": attack, "arguments": {attack: attack, "n": [attack]}}});
    let asks = Message {
        tool_calls: Some(json!([call])),
        reasoning_content: Some(attack.into()),
        ..Message::assistant(attack)
    };
    let id = Some(attack.into());
    let result = Message { name: Some(attack.into()), tool_call_id: id, ..Message::tool(attack) };
    let tools = json!([{"type": "function", "function": {"name": attack, "description": attack}}]);
    ([asks, result], RenderOptions { tools: Some(tools), ..RenderOptions::default() })
}

#[test]
fn no_tool_forges_a_control_token() {
    for template in [
        "{{ tools | tojson }}{% for m in messages %}<|im_start|>{{ m | tojson }}<|im_end|>{% endfor %}",
        "{% for m in messages %}{{ m.name }}{{ m.tool_call_id }}{{ m.reasoning_content }}{% endfor %}",
        "{% for m in messages %}<|{{ m.name | trim }}|>[{{ m.tool_call_id }}]{% endfor %}",
        "{% for c in messages[0].tool_calls %}{% set f = c.function %}<|{{ f.name }}|>\
         {% for k, v in f.arguments | items %}{{ k }}{{ v }}{% endfor %}{% endfor %}",
        "<|{{ tools[0].function.name }}|><{{ tools[0].function.description }}>",
    ] {
        let chat = Chat::new(template);
        let controls = |attack: &str| {
            let (messages, options) = with_tools(attack);
            chat.controls_in(&chat.template.render(&messages, &options).unwrap())
        };
        let harmless = controls("hello");
        let words = ["user", "im_start", "a", "INST", "s"].map(String::from);
        for attack in attacks().into_iter().chain(words) {
            assert_eq!(controls(&attack), harmless, "{attack:?} in {template}");
        }
    }
}

#[test]
fn templates_can_look_up_and_compare_the_parts_of_a_tool() {
    let chat = Chat::new(
        "{% for c in messages[0].tool_calls if c.type == 'function' and c.function.name == 'tide' %}\
         {{ c.function.arguments['a'] }}{% endfor %}\
         {% if messages[1].tool_call_id | length == 4 and messages[1].name == 'tide' %}</s>{% endif %}",
    );
    let (messages, options) = with_tools("tide");
    let prompt = chat.template.render(&messages, &options).unwrap();
    assert_eq!(prompt.text(), "</s>");
    let arguments = json!({"a": "1 < 2"});
    let call = json!([{"type": "function", "function": {"name": "tide", "arguments": arguments}}]);
    let messages = [Message { tool_calls: Some(call), ..messages[0].clone() }, messages[1].clone()];
    assert_eq!(chat.text(&messages), "1 < 2</s>");
}

#[test]
fn a_message_says_something() {
    let chat = Chat::new("{{ messages[0].content is none }}{{ messages[0].name is defined }}");
    let message: Message = serde_json::from_str(r#"{"role": "user"}"#).unwrap();
    let error = chat.refusal(&[message]);
    assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
    let call: Message =
        serde_json::from_str(r#"{"role": "assistant", "content": null, "tool_calls": []}"#).unwrap();
    assert_eq!(chat.text(&[call]).to_lowercase(), "truefalse");
}

/// As reasoning models' templates do; marks everywhere would be in the way.
#[test]
fn templates_can_look_into_messages_and_trim_them() {
    let chat = Chat::new(
        "{% for m in messages %}{% if m.content.startswith('<think>') %}\
         {{ m.content.split('</think>')[0].rstrip('\\n') }}|\
         {{ m.content.split('</think>')[-1].lstrip('\\n') }}{% endif %}</s>{% endfor %}",
    );
    let messages = [Message::assistant("<think> 1 < 2\n</think>\n\nYes, <|im_end|> 1 < 2.")];
    assert_eq!(chat.text(&messages), "<think> 1 < 2|Yes, <|im_end|> 1 < 2.</s>");
    assert_eq!(chat.controls(&messages), ["</s>"]);
}

#[test]
fn bos_is_not_written_twice() {
    let mut toy = ToyVocabulary::new();
    let bos = toy.add("<s>", CONTROL);
    let rest = toy.rest.u32("tokenizer.ggml.bos_token_id", bos);
    toy.rest = rest.bool("tokenizer.ggml.add_bos_token", true);
    for template in ["{{ bos_token }}{{ messages[0].content }}", "{{ messages[0].content }}"] {
        let mut toy = toy.clone();
        toy.rest = toy.rest.str("tokenizer.chat_template", template);
        let gguf = toy.gguf();
        let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
        let prompt = ChatTemplate::from_gguf(&gguf).unwrap().unwrap();
        let prompt = prompt.render(&user("<s>"), &RenderOptions::default()).unwrap();
        let ids = tokenizer.encode_prompt(&prompt).unwrap();
        assert_eq!(ids[0], bos);
        assert_eq!(tokenizer.decode(&ids), "<s>", "only the first is a token");
        assert_eq!(ids.len(), 4);
    }
}

#[test]
fn a_file_without_a_template_has_none() {
    assert!(ChatTemplate::from_gguf(&ToyVocabulary::new().gguf()).unwrap().is_none());
}

#[test]
fn a_template_that_is_no_jinja_is_refused_when_it_is_loaded() {
    let error = ChatTemplate::from_gguf(&file("{% for %}")).err().unwrap();
    assert!(matches!(error, Error::Template(_)), "{error:?}");
    // A broken vocabulary leaves nothing to shield with.
    let mut toy = ToyVocabulary::new();
    toy.types.pop();
    toy.rest = GgufWriter::new().str("tokenizer.chat_template", "x");
    let error = ChatTemplate::from_gguf(&toy.gguf()).err().unwrap();
    assert!(matches!(error, Error::Tokenizer(_)), "{error:?}");
}

#[test]
fn a_refusal_is_shown_in_the_templates_own_words() {
    let chat = Chat::new(
        "{% if messages[0].role != 'user' %}{{ raise_exception('The user must begin.') }}{% endif %}\
         {{ messages[0].content }}",
    );
    assert_eq!(chat.text(&user("Hi")), "Hi");
    let error = chat.refusal(&[Message::assistant("secret")]);
    assert_eq!(error.to_string(), "chat template: The user must begin.");
}

#[test]
fn no_error_quotes_a_message() {
    let secret = "hunter2 said";
    for template in [
        "{{ raise_exception('I dislike ' + messages[0].content) }}",
        "{{ messages[0].content | int }}",
        "{{ messages[0].content.format(1, 2).nothing.at_all }}",
        "{{ messages[0].content[0].x.y }}",
        "{{ messages[0].content() }}",
        "{{ {}[messages[0].content].x }}",
        "{{ 1 + messages[0].content }}",
        "{% include messages[0].content %}",
        "{% for _ in range(1000000000) %}{{ messages[0].content }}{% endfor %}",
    ] {
        let error = Chat::new(template).refusal(&user(secret));
        assert!(matches!(error, Error::Template(_)), "{error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{template}: {shown}");
    }
}

#[test]
fn a_template_without_end_is_stopped() {
    for template in [
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(s='12345678') %}\
         {% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{{ 'x' * 100000000000 }}",
    ] {
        let error = Chat::new(template).refusal(&user("Hi"));
        assert!(matches!(error, Error::Template(_)), "{error:?}");
    }
}

#[test]
fn roles_are_the_templates_affair_but_plain_words() {
    let chat = Chat::new(CHATML);
    let message = |role: &str| Message::new(role, "Hi");
    assert!(chat.text(&[message("tool_2-x")]).contains("<|im_start|>tool_2-x\nHi"));
    for role in ["", "user\n", "a b", "user<|im_end|>", "<|im_end|>", "§", "\u{FDD0}"] {
        let error = chat.refusal(&[message(role)]);
        assert!(matches!(error, Error::InvalidArgument(_)), "{role:?}: {error:?}");
    }
}

/// Expected text from `json.dumps(…, ensure_ascii=False)` of Python 3.
#[test]
fn tojson_is_that_of_python() {
    let chat = Chat::new("{{ messages | tojson }}\n{{ {'a': [1, {}], 'b': []} | tojson(indent=2) }}");
    assert_eq!(
        chat.text(&user("<é> \"\n\u{1}")),
        "[{\"role\": \"user\", \"content\": \"<é> \\\"\\n\\u0001\"}]\n\
         {\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"
    );
}

/// Expected text from `json.dumps` of Python 3 with the same arguments.
#[test]
fn tojson_takes_the_arguments_of_python() {
    for (arguments, json) in [
        ("ensure_ascii=True", r#"{"b": ["° 😀", 1e-05], "a": {"d": 1, "c": 2}}"#),
        ("separators=(',', ':')", r#"{"b":["° 😀",1e-05],"a":{"d":1,"c":2}}"#),
        ("sort_keys=true, ensure_ascii=False", r#"{"a": {"c": 2, "d": 1}, "b": ["° 😀", 1e-05]}"#),
        (
            "separators=('; ', '='), indent=1",
            "{\n \"b\"=[\n  \"° 😀\"; \n  1e-05\n ]; \n \"a\"={\n  \"d\"=1; \n  \"c\"=2\n }\n}",
        ),
    ] {
        let value = "{'b': ['° 😀', 0.00001], 'a': {'d': 1, 'c': 2}}";
        let text = Chat::new(&format!("{{{{ {value} | tojson({arguments}) }}}}")).text(&user("Hi"));
        let escaped = json.replace("° 😀", r"\u00b0 \ud83d\ude00");
        assert_eq!(text, if arguments == "ensure_ascii=True" { &escaped } else { json }, "{arguments}");
    }
}

/// Expected text from Jinja2 3.1.6.
#[test]
fn indent_is_that_of_jinja2() {
    for (arguments, text) in [
        ("", "a\n\n    b\n"),
        ("2", "a\n\n  b\n"),
        ("2, first=true", "  a\n\n  b\n"),
        ("width=1, blank=true", "a\n \n b\n "),
        ("'> ', blank=true, first=true", "> a\n> \n> b\n> "),
    ] {
        let rendered = Chat::new(&format!("{{{{ 'a\\n\\nb\\n' | indent({arguments}) }}}}")).text(&user("Hi"));
        assert_eq!(rendered, text, "{arguments}");
    }
}

#[test]
fn python_and_transformers_extras_work() {
    for (template, text) in [
        ("{% generation %}a{% endgeneration %}{%- generation -%} b {%- endgeneration -%}", "ab"),
        ("{{ messages[0]['content'].strip().split(' ')[0].upper() }}", "HI"),
        ("{{ messages[0].get('name', 'none') }}", "none"),
        ("{{ tools is none }} {{ documents is defined }} {{ custom is defined }}", "true true false"),
        ("{{ bos_token }} {{ eos_token }}", "<s> </s>"),
        ("  {% if true %}\na\n  {% endif %}\nb\n", "a\nb"),
        ("{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}x{% endfor %}", ""),
        ("{{ '<b>' | string }}{{ messages[0].content is iterable }}", "<b>true"),
    ] {
        let rendered = Chat::new(template).text(&user(" Hi there "));
        assert_eq!(rendered.to_lowercase(), text.to_lowercase(), "{template}");
    }
}

#[test]
fn today_is_a_date_of_this_century() {
    let text = Chat::new("{{ strftime_now('%d %b %Y') }}").text(&user("Hi"));
    let parts: Vec<&str> = text.split(' ').collect();
    assert!((1..=31).contains(&parts[0].parse().unwrap()), "{text}");
    assert_eq!(parts[1].len(), 3, "{text}");
    assert!((2025..2100).contains(&parts[2].parse().unwrap()), "{text}");
}
