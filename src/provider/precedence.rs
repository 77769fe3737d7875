//! Which of two operators without parentheses is applied first, in the grammars that read them.

use datafusion::sql::sqlparser::ast::{BinaryOperator, CastKind, Expr, UnaryOperator};

/// A grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grammar {
    /// That of DataFusion's parser, for most of its dialects.
    Parser,
    /// That of DataFusion's parser for its dialect PostgreSQL.
    ParserPostgres,
    /// That of the server PostgreSQL.
    Postgres,
}

/// Operators of one rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Or,
    Xor,
    And,
    Not,
    Is,
    Comparison,
    Regex,
    Like,
    Between,
    Named,
    Json,
    BitOr,
    Shift,
    BitAnd,
    Concat,
    StartsWith,
    Sum,
    Product,
    Power,
    OtherPrefix,
    AtTimeZone,
    Sign,
    Collate,
    Cast,
}

impl Class {
    /// The class of an expression that is an operator.
    pub(super) fn of(expr: &Expr) -> Self {
        match expr {
            Expr::UnaryOp { op: UnaryOperator::Not | UnaryOperator::BangNot, .. } | Expr::Exists { .. } => Self::Not,
            Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus, .. } => Self::Sign,
            Expr::UnaryOp { op: UnaryOperator::PGPostfixFactorial, .. } => Self::Cast,
            Expr::UnaryOp { .. } => Self::OtherPrefix,
            Expr::BinaryOp { op, .. } => Self::of_binary(op),
            Expr::AnyOp { compare_op, .. } | Expr::AllOp { compare_op, .. } => Self::of_binary(compare_op),
            Expr::InList { .. } | Expr::InSubquery { .. } | Expr::InUnnest { .. } | Expr::Between { .. } => {
                Self::Between
            }
            Expr::Like { .. } | Expr::ILike { .. } | Expr::SimilarTo { .. } | Expr::RLike { .. } => Self::Like,
            Expr::AtTimeZone { .. } => Self::AtTimeZone,
            Expr::Cast { kind: CastKind::DoubleColon, .. } => Self::Cast,
            Expr::Collate { .. } => Self::Collate,
            _ => Self::Is,
        }
    }

    fn of_binary(op: &BinaryOperator) -> Self {
        use BinaryOperator::*;
        match op {
            Or => Self::Or,
            Xor => Self::Xor,
            And => Self::And,
            Eq | NotEq | Lt | LtEq | Gt | GtEq | Spaceship | Assignment => Self::Comparison,
            PGRegexMatch | PGRegexIMatch | PGRegexNotMatch | PGRegexNotIMatch | PGLikeMatch | PGILikeMatch
            | PGNotLikeMatch | PGNotILikeMatch => Self::Regex,
            Match | Regexp => Self::Like,
            PGCustomBinaryOperator(_) | Overlaps => Self::Named,
            Arrow | LongArrow | HashArrow | HashLongArrow | AtAt | AtArrow | ArrowAt | HashMinus | AtQuestion
            | Question | QuestionAnd | Custom(_) => Self::Json,
            PGBitwiseXor | PGBitwiseShiftLeft | PGBitwiseShiftRight => Self::Shift,
            BitwiseAnd => Self::BitAnd,
            StringConcat => Self::Concat,
            PGStartsWith => Self::StartsWith,
            Plus | Minus => Self::Sum,
            Multiply | Divide | Modulo | DuckIntegerDivide | MyIntegerDivide => Self::Product,
            BitwiseXor | PGExp => Self::Power,
            _ => Self::BitOr,
        }
    }
}

impl Grammar {
    /// The rank of an operator; the higher one is applied first.
    ///
    /// The parser's are those of sqlparser 0.62, `Dialect::get_next_precedence_default`; the server's are those of
    /// `gram.y` of PostgreSQL 15. PostgreSQL has no XOR: its rank there is MySQL's.
    pub(super) fn rank(self, class: Class) -> u8 {
        let [parser, parser_postgres, postgres] = match class {
            Class::Or => [5, 10, 10],
            Class::Xor => [24, 75, 15],
            Class::And => [10, 20, 20],
            Class::Not => [15, 30, 30],
            Class::Is => [17, 40, 40],
            Class::Comparison => [20, 50, 50],
            Class::Regex => [20, 50, 70],
            Class::Like => [19, 60, 60],
            Class::Between => [20, 60, 60],
            Class::Named => [20, 60, 70],
            Class::Json => [16, 70, 70],
            Class::BitOr => [21, 70, 70],
            Class::Shift => [22, 70, 70],
            Class::BitAnd => [23, 70, 70],
            Class::Concat => [40, 70, 70],
            Class::StartsWith => [50, 70, 70],
            Class::Sum => [30, 80, 80],
            Class::Product => [40, 90, 90],
            Class::Power => [22, 100, 100],
            Class::OtherPrefix => [30, 80, 70],
            Class::AtTimeZone => [41, 110, 110],
            Class::Sign => [40, 90, 125],
            Class::Collate => [60, 120, 120],
            Class::Cast => [50, 140, 140],
        };
        match self {
            Self::Parser => parser,
            Self::ParserPostgres => parser_postgres,
            Self::Postgres => postgres,
        }
    }

    /// Whether the grammar takes no two operators of a rank beside each other.
    pub(super) fn needs_parentheses(self, class: Class) -> bool {
        self == Self::Postgres && matches!(class, Class::Is | Class::Comparison | Class::Like | Class::Between)
    }
}
