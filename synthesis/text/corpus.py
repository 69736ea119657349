"""What the text says: words, numbers and short lines as they stand on signs, in several scripts."""

from dataclasses import dataclass

import numpy as np

from synthesis.sampling import coin, pick, pick_weighted


@dataclass(frozen=True)
class Script:
    """A writing system.

    Args:
        weight: how often it is drawn where a font has it.
        probes: characters that a font must have to count as a font of the script.
        words: the vocabulary, separated by blanks.
        shaped: letters join or stack, which needs Raqm; without it the script is left out.
        cased: has capitals.
    """

    weight: float
    probes: str
    words: tuple[str, ...]
    shaped: bool = False
    cased: bool = False


_LATIN = """
    the and of for with open closed exit entrance parking private street road avenue station market
    hotel cafe bar bakery school library museum bridge river garden park city centre north south
    east west left right stop slow danger warning caution welcome please push pull keep clear fire
    hose extinguisher emergency only staff public office room floor lift stairs toilet information
    ticket tickets sale price free fresh coffee tea bread milk fish pizza burger noodles wine beer
    juice water organic natural quality since original best special offer new today daily hours
    monday friday sunday january march august october summer winter music cinema theatre gallery
    festival concert sports club team union league royal grand golden silver blue green red black
    white lion tiger eagle rose star moon sun ocean mountain forest valley house home family kids
    books flowers fashion shoes jewellery optical pharmacy clinic dental doctor bank post express
    travel tours airport taxi bus train metro platform terminal gate departure arrivals customs
    police service repair rental garage tyres motors electric power energy high voltage construction
    site authorised personnel beyond this point smoking dogs swimming fishing camping trail visitor
    national heritage souvenir gift shop company limited brothers partners international industrial
    solutions university college department research science engineering design studio print copy
    paper photo video digital media news radio magazine chapter volume first second third edition
    press liberty justice future history world no to in at by on up is it we you all one two your
    our my go do épicerie boulangerie fromagerie théâtre château forêt hôtel crêperie café français
    arrêt sortie été straße größe öffnungszeiten bäckerei ausgang bücher frühstück apotheke rathaus
    schloß übergang señor niño mañana panadería farmacia salida corazón jardín playa azúcar calle
    plaza přírodní produkty žluťoučký kůň lékárna nádraží východ piwo łódź święto miasto gelateria
    trattoria uscita perché città pão saída coração irmãos praça smörgås kött bröd utgång gård øl
    blåbær þjóð içecek çıkış şehir güneş hűtő bolt könyv
"""  # noqa: RUF001 - the Turkish dotless i is meant
_CYRILLIC = """
    вход выход касса аптека хлеб молоко кафе ресторан гостиница музей театр кино школа улица
    проспект площадь метро станция остановка поезд билеты продукты цветы книги одежда обувь ремонт
    часы работы открыто закрыто осторожно внимание посторонним запрещён парковка только для
    служебный пожарный кран высокое напряжение центр север юг київ львів вулиця хліб ласкаво просимо
    българия пекарна книжарница србија пошта
"""
_GREEK = """
    είσοδος έξοδος φαρμακείο ψωμί γάλα καφές εστιατόριο ξενοδοχείο μουσείο θέατρο οδός πλατεία
    σταθμός εισιτήρια βιβλία λουλούδια ανοιχτό κλειστό προσοχή στάση λιμάνι παραλία αθήνα
    θεσσαλονίκη καλημέρα
"""
_CHINESE = """
    出口 入口 小心地滑 消火栓 请勿吸烟 停车场 洗手间 欢迎光临 有限公司 实业 商贸 银行 医院 药房 书店
    茶 酒 面馆 火锅 烧烤 饺子 海鲜 超市 便利店 地铁 车站 公交 机场 东 西 南 北 路 街 愚园路 人民广场
    北京 上海 广州 深圳 成都 中国 安全 生产 质量 第一 高压危险 禁止入内 推 拉 营业时间 今日 特价
    新鲜 水果 手机 维修 眼镜 服装 鞋业 美发 足浴 学校 大学 图书馆 电梯 收银台 快递 外卖 房屋 出租
    電話 臺北 老街 牛肉麵
"""
_JAPANESE = """
    出口 入口 駐車場 禁煙 注意 危険 立入禁止 ポイ捨て禁止 営業中 準備中 本日休業 ラーメン うどん
    そば すし 居酒屋 カフェ コーヒー パン 薬局 病院 郵便局 交番 駅 東京 大阪 京都 新宿 渋谷 港区
    清潔できれいな ありがとうございます いらっしゃいませ おすすめ 定食 カラオケ ホテル コンビニ
    セール 割引 無料 開店 時間 月曜日 止まれ 徐行 学校 図書館 公園 トイレ 非常口 消火器 さくら
    みなと はな クリーニング
"""
_KOREAN = """
    출구 입구 주차장 금연 주의 위험 서울 부산 평양 대구 시장 식당 커피 빵집 약국 병원 은행 우체국
    학교 도서관 공원 화장실 지하철 버스 공항 호텔 노래방 편의점 할인 무료 영업중 휴무 어서오세요
    감사합니다 김밥 냉면 불고기 치킨 맥주 소주 미용실 안경 휴대폰 수리 부동산 비상구 소화기
"""
_ARABIC = """
    مدخل مخرج مفتوح مغلق مطعم مقهى فندق صيدلية مستشفى مدرسة جامعة مكتبة شارع ساحة محطة مطار سوق خبز
    حليب قهوة شاي ممنوع التدخين خطر انتبه قف موقف سيارات أهلا وسهلا شركة بنك بريد حديقة متحف القاهرة
    بغداد دمشق دبي
"""
_THAI = """
    ทางเข้า ทางออก เปิด ปิด ร้านอาหาร กาแฟ โรงแรม โรงพยาบาล โรงเรียน ห้องน้ำ ที่จอดรถ ห้ามสูบบุหรี่
    อันตราย ระวัง ตลาด สถานี สนามบิน กรุงเทพ เชียงใหม่ เพชรบุรี เส้นทางลัด ถนน ซอย ยินดีต้อนรับ
    ขนมปัง น้ำดื่ม ข้าวผัด ก๋วยเตี๋ยว ราคา ลดราคา
"""
_DEVANAGARI = """
    प्रवेश निकास खुला बंद भोजनालय चाय कॉफी होटल दवाखाना अस्पताल विद्यालय पुस्तकालय मार्ग चौक स्टेशन
    हवाई अड्डा बाजार दूध रोटी धूम्रपान निषेध खतरा सावधान रुकिए स्वागत भारत दिल्ली मुंबई नेपाल बैंक
    डाकघर शौचालय पुलिस टिकट
"""

SCRIPTS = {
    "latin": Script(0.62, "AQgz09", tuple(_LATIN.split()), cased=True),
    "cyrillic": Script(0.06, "ЖЯщю", tuple(_CYRILLIC.split()), cased=True),
    "greek": Script(0.02, "ΩΨλέ", tuple(_GREEK.split()), cased=True),
    "chinese": Script(0.11, "出请臺", tuple(_CHINESE.split())),
    "japanese": Script(0.04, "駐ラきれ", tuple(_JAPANESE.split())),
    "korean": Script(0.04, "출서울", tuple(_KOREAN.split())),
    "arabic": Script(0.04, "مخرجأى", tuple(_ARABIC.split()), shaped=True),
    "thai": Script(0.04, "ทห้น้ำ", tuple(_THAI.split()), shaped=True),
    "devanagari": Script(0.03, "प्रखुला", tuple(_DEVANAGARI.split()), shaped=True),
}


def draw_words(rng: np.random.Generator, script: str, count: int) -> list[str]:
    """`count` words of a script, in one case where it has cases, at times with a number; one word
    may be a single capital.
    """
    words = [pick(rng, SCRIPTS[script].words) for _ in range(count)]
    if count == 1 and SCRIPTS[script].cased and coin(rng, 0.08):  # as on a door or a sign post
        return [words[0][0].upper()]
    if script == "latin" and coin(rng, 0.2):
        words = [_invented_word(rng) for _ in range(count)]
    if coin(rng, 0.15):
        words[int(rng.integers(count))] = draw_number(rng)
    if SCRIPTS[script].cased:
        words = [_CASES[pick_weighted(rng, _CASE_WEIGHTS)](word) for word in words[:1]] + words[1:]
        if words[0].isupper():
            words = [word.upper() for word in words]
        elif words[0].istitle() and coin(rng, 0.5):
            words = [word.capitalize() for word in words]
    return words


def draw_number(rng: np.random.Generator) -> str:
    """A number as signs show it: a price, a time, a telephone, a year, a plate, a house number."""
    form = pick(rng, _NUMBER_FORMS)
    return "".join(_filled(rng, sign) for sign in form)


def similar_word(rng: np.random.Generator, word: str, script: str) -> str:
    """What a forger might put in the place of `word`: other digits, a word of like length."""
    if any(sign.isdigit() for sign in word):
        changed = "".join(str(rng.integers(10)) if sign.isdigit() else sign for sign in word)
        if changed != word:
            return changed
    others = [other for other in SCRIPTS[script].words if abs(len(other) - len(word)) <= 1]
    others = [other for other in others if other.lower() != word.lower()]
    if not others:
        return draw_number(rng)
    other = pick(rng, others)
    if word.isupper():
        return other.upper()
    return other.capitalize() if word.istitle() else other


_CASES = {"upper": str.upper, "title": str.capitalize, "lower": str.lower}
_CASE_WEIGHTS = {"upper": 0.5, "title": 0.35, "lower": 0.15}
# 9 stands for any digit, A for any capital; the rest is printed as it is.
_NUMBER_FORMS = (
    *(
        "9",
        "99",
        "999",
        "9999",
        "9.99",
        "99.99",
        "$9.99",
        "99%",
        "-99%",
        "99:99",
        "99-99",
        "99/99/9999",
    ),
    *(
        "No. 99",
        "999 999",
        "(99) 9999",
        "1999",
        "2099",
        "AA 999",
        "A-99",
        "AAA-9999",
        "99km",
        "99 m",
        "9:99",
        "A9",
    ),
)
_ONSETS = [
    "b",
    "br",
    "c",
    "ch",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "z",
]
_NUCLEI = ["a", "e", "i", "o", "u", "ai", "ea", "ou", "io"]
_CODAS = ["", "", "n", "r", "s", "l", "t", "m", "nd", "ck"]


def _filled(rng: np.random.Generator, sign: str) -> str:
    if sign == "9":
        return str(rng.integers(10))
    return chr(ord("A") + int(rng.integers(26))) if sign == "A" else sign


def _invented_word(rng: np.random.Generator) -> str:
    # Names and brands: strings that no vocabulary holds, so that a network cannot learn the words
    # by heart.
    syllables = int(rng.integers(1, 4))
    parts = [pick(rng, _ONSETS) + pick(rng, _NUCLEI) + pick(rng, _CODAS) for _ in range(syllables)]
    return "".join(parts)
