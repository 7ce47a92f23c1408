//! Problems of objects. A problem never fails a decision.

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemCode {
    /// A node affinity term can't be parsed.
    MalformedTerm,
    /// The `DaemonSet`'s selector is empty or missing.
    SelectsEverything,
    /// The planner can't distinguish current pods from old ones.
    UnknownRevision,
    /// The API server refuses the value of a field, or the planner doesn't know it.
    Invalid,
}

/// A problem with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The kind of problem.
    pub code: ProblemCode,
    /// The path of the field.
    pub field: String,
    /// Describes the problem and a correct value.
    pub message: String,
}

impl Problem {
    /// A field whose value the API server refuses, or that the planner doesn't know.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: ProblemCode::Invalid,
            field: field.into(),
            message: message.into(),
        }
    }

    /// The same problem in an enclosing object: its field's path begins with `parent`.
    #[must_use]
    pub fn within(self, parent: &str) -> Self {
        Self {
            field: format!("{parent}.{}", self.field),
            ..self
        }
    }
}
