//! What is said in each language to hear its voice.

use crate::speech::Language;

/// Those that are looked at whether they have a voice or not.
pub const USUAL: [(&str, &str); 15] = [
    ("tr", "Merhaba, şimdi Türkçe konuşuyorum."),
    ("ko", "안녕하세요, 지금 한국어로 말하고 있습니다."),
    ("zh", "你好，我现在说的是中文。"),
    ("fr", "Bonjour, je parle français maintenant."),
    ("en", "Hello, I am speaking English now."),
    ("de", "Guten Tag, ich spreche jetzt Deutsch."),
    ("es", "Hola, ahora hablo español."),
    ("it", "Buongiorno, adesso parlo italiano."),
    ("pt", "Olá, agora falo português."),
    ("nl", "Hallo, ik spreek nu Nederlands."),
    ("pl", "Dzień dobry, teraz mówię po polsku."),
    ("ru", "Здравствуйте, сейчас я говорю по-русски."),
    ("ar", "مرحبا، أنا أتكلم العربية الآن."),
    ("hi", "नमस्ते, अब मैं हिन्दी बोल रही हूँ।"),
    ("ja", "こんにちは、いま日本語を話しています。"),
];

/// All others that can be told apart, but for Akan.
const OTHERS: [(&str, &str); 54] = [
    ("eo", "Saluton, nun mi parolas Esperanton."),
    ("bn", "নমস্কার, আমি এখন বাংলা বলছি।"),
    ("uk", "Вітаю, зараз я говорю українською."),
    ("ka", "გამარჯობა, ახლა ქართულად ვლაპარაკობ."),
    ("he", "שלום, עכשיו אני מדבר עברית."),
    ("yi", "שלום עליכם, איך רעד איצט ייִדיש."),
    ("am", "ሰላም፣ አሁን አማርኛ እናገራለሁ።"),
    ("jv", "Halo, saiki aku omong basa Jawa."),
    ("nb", "Hei, nå snakker jeg norsk."),
    ("da", "Hej, nu taler jeg dansk."),
    ("sv", "Hej, nu talar jag svenska."),
    ("fi", "Hei, nyt puhun suomea."),
    ("hu", "Jó napot, most magyarul beszélek."),
    ("cs", "Dobrý den, teď mluvím česky."),
    ("el", "Γεια σας, τώρα μιλάω ελληνικά."),
    ("bg", "Здравейте, сега говоря български."),
    ("be", "Добры дзень, зараз я размаўляю па-беларуску."),
    ("mr", "नमस्कार, मी आता मराठी बोलत आहे."),
    ("kn", "ನಮಸ್ಕಾರ, ನಾನು ಈಗ ಕನ್ನಡ ಮಾತನಾಡುತ್ತಿದ್ದೇನೆ."),
    ("ro", "Bună ziua, acum vorbesc românește."),
    ("sl", "Dober dan, zdaj govorim slovensko."),
    ("hr", "Dobar dan, sada govorim hrvatski."),
    ("sr", "Добар дан, сада говорим српски."),
    ("mk", "Здраво, сега зборувам македонски."),
    ("lt", "Laba diena, dabar kalbu lietuviškai."),
    ("lv", "Labdien, tagad es runāju latviski."),
    ("et", "Tere, nüüd räägin ma eesti keelt."),
    ("ta", "வணக்கம், நான் இப்போது தமிழ் பேசுகிறேன்."),
    ("vi", "Xin chào, bây giờ tôi nói tiếng Việt."),
    ("ur", "السلام علیکم، اب میں اردو بول رہا ہوں۔"),
    ("th", "สวัสดี ตอนนี้ฉันพูดภาษาไทย"),
    ("gu", "નમસ્તે, હું હવે ગુજરાતી બોલું છું."),
    ("uz", "Salom, hozir men oʻzbekcha gapiryapman."),
    ("pa", "ਸਤ ਸ੍ਰੀ ਅਕਾਲ, ਮੈਂ ਹੁਣ ਪੰਜਾਬੀ ਬੋਲ ਰਿਹਾ ਹਾਂ।"),
    ("az", "Salam, indi mən azərbaycanca danışıram."),
    ("id", "Halo, sekarang saya berbicara bahasa Indonesia."),
    ("te", "నమస్కారం, నేను ఇప్పుడు తెలుగు మాట్లాడుతున్నాను."),
    ("fa", "سلام، الان فارسی صحبت می‌کنم."),
    ("ml", "നമസ്കാരം, ഞാൻ ഇപ്പോൾ മലയാളം സംസാരിക്കുന്നു."),
    ("or", "ନମସ୍କାର, ମୁଁ ଏବେ ଓଡ଼ିଆ କହୁଛି।"),
    ("my", "မင်္ဂလာပါ၊ အခု မြန်မာလို ပြောနေပါတယ်။"),
    ("ne", "नमस्ते, म अहिले नेपाली बोल्दै छु।"),
    ("si", "ආයුබෝවන්, මම දැන් සිංහල කතා කරනවා."),
    ("km", "សួស្តី ឥឡូវនេះខ្ញុំនិយាយភាសាខ្មែរ"),
    ("tk", "Salam, men häzir türkmençe gepleýärin."),
    ("zu", "Sawubona, manje ngikhuluma isiZulu."),
    ("sn", "Mhoro, iye zvino ndiri kutaura chiShona."),
    ("af", "Goeie dag, ek praat nou Afrikaans."),
    ("la", "Salve, nunc Latine loquor."),
    ("sk", "Dobrý deň, teraz hovorím po slovensky."),
    ("ca", "Bon dia, ara parlo català."),
    ("tl", "Kumusta, nagsasalita ako ngayon ng Tagalog."),
    ("hy", "Բարև, հիմա ես հայերեն եմ խոսում։"),
    ("cy", "Helo, rydw i'n siarad Cymraeg nawr."),
];

/// Read in any language.
const NUMBERS: &str = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10.";

/// A sentence in a language, or what is read in any.
pub fn sentence(language: Language) -> &'static str {
    let mut all = USUAL.iter().chain(&OTHERS);
    all.find(|(tag, _)| *tag == language.tag()).map_or(NUMBERS, |(_, sentence)| sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::language::{Finding, find};

    #[test]
    fn every_language_has_a_sentence_that_no_other_has() {
        let all: Vec<Language> = Language::all().collect();
        let without: Vec<&str> =
            all.iter().filter(|one| sentence(**one) == NUMBERS).map(|one| one.tag()).collect();
        assert_eq!((all.len(), without), (70, vec!["ak"]));
        let sentences: std::collections::HashSet<&str> = all.iter().map(|one| sentence(*one)).collect();
        assert_eq!(sentences.len(), all.len());
        assert!(USUAL.iter().chain(&OTHERS).all(|(tag, _)| Language::from_tag(tag).is_some()));
    }

    #[test]
    fn a_sentence_in_a_script_of_its_own_is_in_its_language() {
        for tag in [
            "ko", "zh", "ja", "bn", "ka", "am", "kn", "el", "ta", "th", "gu", "pa", "te", "ml", "or", "my",
            "si", "km", "hy",
        ] {
            let language = Language::from_tag(tag).unwrap();
            let all: Vec<Language> = Language::all().collect();
            assert_eq!(find(sentence(language), &all, &[]), Some(Finding::Sure(language)), "{tag}");
        }
    }
}
