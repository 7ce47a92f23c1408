//! Prints answers in which every text field holds hostile text.

use std::collections::HashMap;

use everynode_proto::{executor::v1 as executor, planner::v1 as planner};
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

use super::*;
use crate::text::{is_printable, printable};

/// Text that clears the screen, sets the title, overwrites and forges a line, and hides and reverses what follows.
const HOSTILE: &str =
    "a\u{1b}[2J\u{1b}]0;t\u{7}b\rc\nNAME\td\u{9b}8me\u{7f}f\u{202e}g\u{2066}h\u{200b}i\u{2028}j\u{feff}";

/// Builds messages with every field set: texts to `text`, and lists to `items` equal items. In each oneof, it sets the
/// field at index `choice` modulo the number of fields.
struct MessageBuilder<'a> {
    text: &'a str,
    items: usize,
    choice: usize,
}

impl MessageBuilder<'_> {
    fn message<M: Name + Default>(&self) -> M {
        let pool = DescriptorPool::decode(everynode_proto::FILE_DESCRIPTOR_SET).unwrap();
        let descriptor = pool.get_message_by_name(&M::full_name()).unwrap();
        M::decode(self.dynamic(&descriptor).encode_to_vec().as_slice()).unwrap()
    }

    fn dynamic(&self, descriptor: &MessageDescriptor) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields().filter(|field| self.is_chosen(field)) {
            message.set_field(&field, self.field(&field));
        }
        message
    }

    fn is_chosen(&self, field: &FieldDescriptor) -> bool {
        field.containing_oneof().is_none_or(|oneof| {
            let choice = self.choice % oneof.fields().len();
            oneof.fields().nth(choice).as_ref() == Some(field)
        })
    }

    fn field(&self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let value = self.value(&entry.map_entry_value_field().kind());
                Value::Map(HashMap::from([(MapKey::String(self.text.to_owned()), value)]))
            }
            kind if field.is_list() => Value::List(vec![self.value(&kind); self.items]),
            kind => self.value(&kind),
        }
    }

    fn value(&self, kind: &Kind) -> Value {
        match kind {
            Kind::String => Value::String(self.text.to_owned()),
            Kind::Message(descriptor) => Value::Message(self.dynamic(descriptor)),
            Kind::Enum(_) => Value::EnumNumber(1),
            Kind::Bool => Value::Bool(true),
            Kind::Int32 => Value::I32(1),
            Kind::Int64 => Value::I64(1),
            Kind::Uint32 => Value::U32(1),
            Kind::Uint64 => Value::U64(1),
            other => panic!("no answer has a field of kind {other:?} yet"),
        }
    }
}

/// Checks that an answer with hostile text prints the same as one with the escapes written out.
fn check<M: Name + Default>(table: impl Fn(&M, TableStyle) -> String, csv: impl Fn(&M) -> String) {
    let safe = printable(HOSTILE).into_owned();
    for (items, choice) in [(1, 0), (2, 1), (2, 2), (1, 3), (1, 4)] {
        let filled = |text: &str| MessageBuilder { text, items, choice }.message::<M>();
        let hostile = filled(HOSTILE);
        for (has_colors, width, is_wide) in
            [(false, None, false), (true, None, true), (true, Some(80), false)]
        {
            let style = TableStyle {
                is_wide,
                has_colors,
                width,
            };
            // Headings are in upper case, and so are written-out escapes in headings. So the comparison ignores case.
            let wanted = table(&filled(&safe), style).to_lowercase();
            assert_eq!(table(&hostile, style).to_lowercase(), wanted);
        }
        assert_eq!(csv(&hostile), csv(&filled(&safe)));
        for text in [table(&hostile, TableStyle::default()), csv(&hostile)] {
            assert!(
                text.chars()
                    .all(|character| character == '\n' || is_printable(character)),
                "{text:?}"
            );
        }
        let json = message::json(&hostile).unwrap();
        let line = message::json_line(&hostile).unwrap();
        let yaml = message::yaml(&hostile).unwrap();
        for text in [&json, &line, &yaml] {
            assert!(
                text.chars()
                    .all(|character| character == '\n' || is_printable(character)),
                "{text:?}"
            );
        }
        let meant: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), meant);
        assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&yaml).unwrap(), meant);
    }
}

fn every_pair() -> explain::ExplainView {
    explain::ExplainView {
        extent: explain::Extent::All,
        ..explain::ExplainView::default()
    }
}

#[test]
fn answers_of_the_planner_print_only_printable_text() {
    check(
        |answer: &planner::ExplainResponse, style| explain::table(answer, &every_pair(), style),
        |answer| explain::csv(answer, &every_pair()),
    );
    check(
        |answer: &planner::PlanResponse, style| plan::tables(std::slice::from_ref(answer), style),
        |answer| plan::csv(std::slice::from_ref(answer)),
    );
    check(
        |answer: &planner::SimulateNodesResponse, style| {
            simulate::table(answer, &[], simulate::SortBy::Name, style)
        },
        |answer| simulate::csv(answer, &[], simulate::SortBy::Name),
    );
}

#[test]
fn answers_of_the_executor_print_only_printable_text() {
    check(
        |answer: &executor::GetInfoResponse, style| live::info(answer, style),
        live::info_csv,
    );
    check(
        |answer: &executor::ListDaemonSetsResponse, style| live::daemon_sets(answer, style),
        live::daemon_sets_csv,
    );
    check(
        |answer: &executor::ExplainResponse, style| live::explain(answer, &every_pair(), style),
        |answer| live::explain_csv(answer, &every_pair()),
    );
    check(
        |answer: &executor::GetNodeOverheadResponse, style| {
            live::overheads(std::slice::from_ref(answer), simulate::SortBy::Name, style)
        },
        |answer| live::overheads_csv(std::slice::from_ref(answer), simulate::SortBy::Name),
    );
    check(
        |answer: &executor::WatchPlansResponse, style| live::events::event_line(answer, style),
        live::events::csv_line,
    );
}

#[test]
fn folded_answers_print_only_printable_text() {
    let many = |text: &str| {
        let builder = MessageBuilder {
            text,
            items: 30,
            choice: 1,
        };
        let mut answer: executor::ExplainResponse = builder.message();
        for (index, placement) in answer.placements.iter_mut().enumerate() {
            if let Some(verdict) = &mut placement.verdict {
                verdict.node = format!("{text}{index}");
                verdict.verdict = 2;
            }
        }
        answer
    };
    let safe = printable(HOSTILE).into_owned();
    let view = explain::ExplainView::default();
    let text = live::explain(&many(HOSTILE), &view, TableStyle::default());
    assert_eq!(text, live::explain(&many(&safe), &view, TableStyle::default()));
    assert!(text.contains("30 nodes"), "{text}");
}

#[test]
fn several_answers_are_a_stream_of_documents() {
    let answers = ["a", "b"].map(|name| planner::NodeVerdict {
        node: name.to_owned(),
        ..planner::NodeVerdict::default()
    });
    let rendered = |answers: &[planner::NodeVerdict], format| {
        render_all(answers, format, |_| "table".to_owned(), || "csv".to_owned()).unwrap()
    };
    assert_eq!(
        rendered(&answers, OutputFormat::Json),
        "{\n  \"node\": \"a\"\n}\n{\n  \"node\": \"b\"\n}\n"
    );
    assert_eq!(
        rendered(&answers, OutputFormat::Yaml),
        "---\nnode: a\n---\nnode: b\n"
    );
    assert_eq!(rendered(&answers[..1], OutputFormat::Yaml), "node: a\n");
    assert_eq!(rendered(&answers, OutputFormat::Wide), "table");
    assert_eq!(rendered(&answers, OutputFormat::Csv), "csv");
}
