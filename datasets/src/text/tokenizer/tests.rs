use super::words::words;
use super::*;
use proptest::prelude::*;

fn counted(kind: VocabularyKind, text: &str) -> Counts {
    let mut counts = Counts::default();
    kind.survey(NgramShape::default()).count(text, usize::MAX, &mut counts);
    counts
}

fn tokenizer(kind: VocabularyKind, specials: Specials, symbols: &[&str]) -> Option<Arc<dyn Tokenizer>> {
    kind.survey(NgramShape::default()).tokenizer(specials, symbols.iter().map(ToString::to_string).collect())
}

fn encode(tokenizer: &dyn Tokenizer, text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    tokenizer.encode_into(text, usize::MAX, &mut ids).unwrap();
    ids
}

#[test]
fn words_are_runs_and_single_marks() {
    let tokens: Vec<&str> = words(" Don't  stop—2nd   (naïve) £5!").collect();
    assert_eq!(tokens, ["Don't", "stop", "—", "2nd", "(", "naïve", ")", "£", "5", "!"]);
    assert_eq!(words(" \n ").count(), 0);
}

#[test]
fn the_most_frequent_come_first_and_ties_by_text() {
    let counts = || counted(VocabularyKind::Word, "b a c b a d");
    assert_eq!(counts().frequent(1, None), ["a", "b", "c", "d"]);
    assert_eq!(counts().frequent(2, None), ["a", "b"]);
    assert_eq!(counts().frequent(1, Some(3)), ["a", "b", "c"]);
    assert_eq!(counted(VocabularyKind::Character, "baéb").sorted(), ["a", "b", "é"]);
    let mut both = counted(VocabularyKind::Word, "a é to");
    both.merge(counted(VocabularyKind::Word, "to a to"));
    assert_eq!(both.frequent(1, None), ["to", "a", "é"]);
}

#[test]
fn an_unknown_symbol_has_an_id_or_a_place() {
    let with = tokenizer(VocabularyKind::Character, Specials::PADDED, &["a", "b"]).unwrap();
    assert_eq!(encode(&*with, "abé"), [2, 3, 1]);
    assert_eq!(with.decode(&[2, 3, 1, 0, 99]), "ab\u{fffd}\u{fffd}");
    let refused = |kind, text: &str| {
        let symbols: &[&str] = if kind == VocabularyKind::Word { &["a"] } else { &["a", "b"] };
        tokenizer(kind, Specials::NONE, symbols).unwrap().encode_into(text, 9, &mut Vec::new())
    };
    let unknown = |symbol: &str, byte| Err(UnknownSymbol { symbol: symbol.to_string(), byte });
    assert_eq!(refused(VocabularyKind::Character, "abé"), unknown("é", 2));
    assert_eq!(refused(VocabularyKind::Word, "a  b"), unknown("b", 3));
}

#[test]
fn impossible_symbols_are_refused() {
    let new = |kind, symbols| tokenizer(kind, Specials::NONE, symbols);
    assert!(new(VocabularyKind::Character, &["ab"]).is_none());
    assert!(new(VocabularyKind::Character, &["a", "a"]).is_none());
    assert!(new(VocabularyKind::Word, &["x", "x"]).is_none());
    assert!(new(VocabularyKind::Byte, &["x"]).is_none());
    assert_eq!(new(VocabularyKind::Byte, &[]).unwrap().size(), 256);
}

const SPECIALS: [Specials; 3] = [Specials::NONE, Specials::UNKNOWN, Specials::PADDED];

proptest! {
    #[test]
    fn characters_round_trip(text in ".{0,60}", specials in prop::sample::select(SPECIALS.to_vec())) {
        let symbols = counted(VocabularyKind::Character, &text).sorted();
        let tokenizer = VocabularyKind::Character.survey(NgramShape::default()).tokenizer(specials, symbols).unwrap();
        prop_assert_eq!(tokenizer.decode(&encode(&*tokenizer, &text)), text);
    }

    #[test]
    fn bytes_round_trip(text in ".{0,60}", specials in prop::sample::select(SPECIALS.to_vec())) {
        let tokenizer = tokenizer(VocabularyKind::Byte, specials, &[]).unwrap();
        let ids = encode(&*tokenizer, &text);
        prop_assert!(ids.iter().all(|&id| (id as usize) < tokenizer.size()));
        prop_assert_eq!(tokenizer.decode(&ids), text);
    }

    #[test]
    fn words_round_trip_but_for_white_space(text in "[a-c'!é \n]{0,60}") {
        let symbols = counted(VocabularyKind::Word, &text).frequent(1, None);
        let survey = VocabularyKind::Word.survey(NgramShape::default());
        let tokenizer = survey.tokenizer(Specials::PADDED, symbols).unwrap();
        let ids = encode(&*tokenizer, &text);
        prop_assert!(ids.iter().all(|&id| id >= 2));
        let decoded = tokenizer.decode(&ids);
        prop_assert_eq!(words(&decoded).collect::<Vec<_>>(), words(&text).collect::<Vec<_>>());
        prop_assert_eq!(encode(&*tokenizer, &decoded), ids);
    }

    /// Every kind keeps what its survey, and [`Tokenizer::spans_lines`], say of its tokens.
    #[test]
    fn tokens_are_as_many_as_were_counted_and_end_with_their_line(text in "[a-cé' \n]{0,60}") {
        for kind in [VocabularyKind::Character, VocabularyKind::Byte, VocabularyKind::Word] {
            let survey = kind.survey(NgramShape::default());
            let symbols = counted(kind, &text).sorted();
            let tokenizer = survey.tokenizer(Specials::PADDED, symbols).unwrap();
            let ids = encode(&*tokenizer, &text);
            prop_assert_eq!(ids.len(), survey.num_tokens(&text));
            prop_assert_eq!(survey.num_characters(&text, ids.len()), text.chars().count());
            if !tokenizer.spans_lines() {
                let lines: Vec<u32> =
                    text.split_inclusive('\n').flat_map(|line| encode(&*tokenizer, line)).collect();
                prop_assert_eq!(lines, ids);
            }
        }
    }
}
