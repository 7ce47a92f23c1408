//! Prints answers in which every text field holds text that an attacker would like to have printed.

use std::collections::{BTreeMap, HashMap};

use everynode_proto::{executor::v1 as executor, planner::v1 as planner};
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

use super::*;
use crate::text::{is_printable, printable};

/// Clears the screen, sets the title, overwrites and forges a line, and hides and reverses the text that follows.
const HOSTILE: &str =
    "a\u{1b}[2J\u{1b}]0;t\u{7}b\rc\nNAME\td\u{9b}8me\u{7f}f\u{202e}g\u{2066}h\u{200b}i\u{2028}j\u{feff}";

/// Builds messages with every field set: texts to `text`, lists to `items` equal items, and in each oneof the field at
/// index `choice` modulo the number of its fields.
struct Filling<'a> {
    text: &'a str,
    items: usize,
    choice: usize,
}

impl Filling<'_> {
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

/// Checks that a hostile answer prints the same as one whose author had written the escapes out.
fn check<M: Name + Default>(table: impl Fn(&M, View) -> String) {
    let safe = printable(HOSTILE).into_owned();
    for (items, choice) in [(1, 0), (2, 1), (2, 2), (1, 3), (1, 4)] {
        let filled = |text: &str| Filling { text, items, choice }.message::<M>();
        let hostile = filled(HOSTILE);
        for (colours, width, wide) in [(false, None, false), (true, None, true), (true, Some(80), false)] {
            let view = View { wide, colours, width };
            // Headings are capitalized, including escapes that the author has written out, so the comparison ignores
            // case.
            let wanted = table(&filled(&safe), view).to_lowercase();
            assert_eq!(table(&hostile, view).to_lowercase(), wanted);
        }
        let text = table(&hostile, View::default());
        assert!(
            text.chars()
                .all(|character| character == '\n' || is_printable(character)),
            "{text:?}"
        );
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

#[test]
fn whatever_an_answer_of_the_planner_says_only_printable_text_is_printed_of_it() {
    check(|answer: &planner::ExplainResponse, view| explain::table(answer, true, view));
    check(|answer: &planner::PlanResponse, view| plan::table(answer, view));
    check(|answer: &planner::SimulateNodesResponse, view| {
        simulate::table(answer, &BTreeMap::default(), view)
    });
}

#[test]
fn whatever_an_answer_of_the_executor_says_only_printable_text_is_printed_of_it() {
    check(|answer: &executor::GetInfoResponse, view| live::info(answer, view));
    check(|answer: &executor::ListDaemonSetsResponse, view| live::daemon_sets(answer, view));
    check(|answer: &executor::ExplainResponse, view| live::explain(answer, true, view));
    check(|answer: &executor::GetNodeOverheadResponse, view| live::overhead(answer, view));
    check(|answer: &executor::WatchPlansResponse, view| live::events::line(answer, view));
}
