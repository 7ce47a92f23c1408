//! The `RuntimeClass`es of a request.

use std::collections::HashMap;

use everynode_proto::facts::{object::demand, raw_struct::Item};
use tonic::Status;

use super::reader::Reader;
use crate::{
    convert::{self, FieldError},
    decide::runtime_class::ClassConditions,
    model::{Resources, RuntimeClass, Text},
};

/// `RuntimeClass`es by name.
#[derive(Debug, Default)]
pub(super) struct Classes(HashMap<Text, Class>);

#[derive(Debug)]
struct Class {
    overhead: Resources,
    conditions: Option<ClassConditions>,
}

impl Classes {
    /// The overhead of a class. `None` if the class is unknown.
    pub(super) fn overhead(&self, name: &str) -> Option<&Resources> {
        self.0.get(name).map(|class| &class.overhead)
    }

    /// The conditions of a class. `None` if it sets none or is unknown.
    pub(super) fn conditions(&self, name: &str) -> Option<&ClassConditions> {
        self.0.get(name)?.conditions.as_ref()
    }
}

impl Reader {
    /// Reads `RuntimeClass`es.
    ///
    /// # Errors
    /// As [`Reader::read_each`].
    pub(super) fn classes(&mut self, objects: Vec<Item>) -> Result<Classes, Status> {
        let objects = self.last_of_each_name("RuntimeClass", objects);
        let classes = self.read_each("RuntimeClass", &objects, Self::class)?;
        let classes = classes.into_iter().map(|class| {
            let conditions = ClassConditions::new(&class);
            let overhead = class.overhead;
            (class.name, Class { overhead, conditions })
        });
        Ok(Classes(classes.collect()))
    }

    fn class(&mut self, object: &Item) -> Result<RuntimeClass, FieldError> {
        let class: demand::RuntimeClass = self.read(object, "RuntimeClass")?;
        let class = convert::runtime_class(&class, &mut self.strings)?;
        self.check_runtime_class(object, &class);
        Ok(class)
    }
}
