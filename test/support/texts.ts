// Texts of many kinds, none of which the weights of the token estimator were fitted to: prose written here, the sources of
// this repository, and generated data. The same texts on every run.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Sample {
  domain: string;
  text: string;
}

const ROOT = new URL("../..", import.meta.url).pathname;

/** Paragraphs about everyday things, so that names and technical terms do not help a tokenizer. */
const PROSE: Record<string, string> = {
  english: `The harbour was quiet when the ferry came in, and nobody on the quay seemed to be in a hurry. A woman in a yellow
coat counted the crates as they were carried ashore, wrote a number in a small notebook, and counted them again. It had rained
for most of the week. The cobbles shone, the gulls sat in a row on the roof of the customs house, and somewhere behind the fish
market a radio was playing a song that had been popular twenty years before. "Two are missing," she said at last. The captain
shrugged. He had carried what he had been given, he explained, and if two crates were missing then they had been missing before
he left. She did not argue. Arguments, in her experience, were for people who still believed that the other side could be
embarrassed. Instead she asked him for a cup of coffee, and while he was looking for a clean one she read the bill of lading on
his table from beginning to end, including the part that was printed on the back.`,
  german: `Als der Bürgermeister am Donnerstagabend das neue Schwimmbad eröffnete, hatten sich trotz des strömenden Regens mehr
als dreihundert Menschen vor dem Eingang versammelt. Die Bauarbeiten hatten fast vier Jahre gedauert und am Ende ungefähr
doppelt so viel gekostet wie ursprünglich veranschlagt. In seiner Ansprache dankte er den Handwerksbetrieben aus der Umgebung,
entschuldigte sich für die zahlreichen Verzögerungen und versprach, die Eintrittspreise für Familien mit Kindern mindestens
zwei Jahre lang nicht zu erhöhen. Danach sprang er, zur Überraschung aller Anwesenden, in voller Kleidung vom Dreimeterbrett.
Die Feuerwehrkapelle spielte weiter, als wäre nichts geschehen. Später, beim gemeinsamen Würstchenessen, erzählte er, dass er
diese Wette bereits vor der letzten Kommunalwahl gegen seine Schwester verloren habe.`,
  french: `Ma grand-mère gardait ses recettes dans une boîte à biscuits, pêle-mêle avec des tickets de métro, des photographies
jaunies et des lettres qu'elle n'avait jamais envoyées. Quand nous avons vidé l'appartement, en plein mois d'août, personne
n'osait l'ouvrir. C'est finalement mon frère qui a soulevé le couvercle, en prétendant qu'il cherchait la recette du gâteau aux
noix. Nous avons passé l'après-midi entier assis par terre, à déchiffrer une écriture serrée qui penchait vers la gauche. Elle
notait tout : le prix du beurre, la couleur du ciel, le nom des invités et ce qu'ils avaient laissé dans leur assiette. Au dos
d'une addition, elle avait écrit qu'on ne devrait jamais servir de poisson à quelqu'un à qui l'on doit de l'argent.`,
  spanish: `El autobús de las siete y media llegaba siempre tarde, salvo los martes, que no llegaba nunca. Los vecinos del barrio
habían escrito tres cartas al ayuntamiento, y la respuesta, idéntica en los tres casos, agradecía su interés y prometía un
estudio detallado de la situación. Mientras tanto, Don Anselmo había puesto dos sillas delante de su zapatería para que la gente
esperase sentada. Poco a poco aquello se convirtió en una tertulia: alguien traía pan, otro un termo de café, y una señora muy
mayor enseñaba a hacer punto a los chicos del instituto. Cuando por fin arreglaron el servicio y el autobús empezó a pasar cada
diez minutos, muchos lo dejaban marchar vacío y seguían conversando bajo el toldo verde.`,
  polish: `Pociąg zatrzymał się w szczerym polu i przez dłuższą chwilę nikt z obsługi nie potrafił powiedzieć, dlaczego. Za oknem
rosły słoneczniki, dalej stał niewielki drewniany dom z niebieskimi okiennicami, a przed domem starszy mężczyzna spokojnie
naprawiał rower. Dzieci z sąsiedniego przedziału natychmiast zaczęły mu machać. Odłożył klucz, otarł ręce o spodnie i podszedł
do torów z koszykiem jabłek, jakby od rana czekał właśnie na nas. Okazało się, że ten pociąg zatrzymuje się tutaj prawie w każdą
sobotę, ponieważ maszynista jest jego zięciem i nie lubi przyjeżdżać do domu z pustymi rękami.`,
  turkish: `Dedem her sabah güneş doğmadan önce kalkar, bahçedeki kuyudan su çeker ve kimseyi uyandırmamaya çalışarak çay demlerdi.
Ben merdivenin en üst basamağında oturur, onun sessizce dolaşmasını seyrederdim. Komşular kasabanın en eski saatçisi olduğunu
söylerlerdi, fakat kolunda hiçbir zaman saat görmedim. Bir gün nedenini sorduğumda gülümsedi ve cebinden küçük bir defter
çıkardı. Defterde, otuz yıl boyunca tamir ettiği bütün saatlerin sahipleri, getirdikleri gün ve kaç dakika geri kaldıkları
yazıyordu. İnsanların zamanını düzeltirken kendi zamanına bakmaya fırsat bulamadığını söyledi.`,
  russian: `Зимой в нашей деревне темнело так рано, что фонари зажигали сразу после обеда. Почтальон приезжал на лыжах по вторникам
и пятницам, и каждый раз собака соседа провожала его до самого моста, а потом возвращалась по собственным следам. Моя тётка
работала в библиотеке, где было всего две комнаты: в одной стояли книги, в другой печка и самовар. Люди приходили туда не только
читать. Они спорили о погоде, пересказывали друг другу письма от детей, играли в шахматы и чинили валенки. Однажды весной крыша
протекла, и всей улицей мы три дня сушили романы на верёвках, как бельё.`,
  arabic: `كان السوق القديم يستيقظ قبل المدينة كلها. يفتح باعة الخبز دكاكينهم في الظلام، ثم يصل بائع الليمون بعربته الصغيرة، وبعده الرجل الذي
يبيع الطيور ولا يبيعها أبدا لأنه يحبها أكثر مما يحب المال. في ذلك الصباح لم يكن أحد يتحدث عن الأسعار، بل عن الرسالة التي وجدها الخياط تحت باب
محله. لم يكن عليها اسم ولا عنوان، وفيها جملة واحدة فقط: لا تبع المعطف الأزرق. ضحك الجميع، إلا الخياط نفسه، فقد كان يعرف أن المعطف الأزرق لا
يزال قطعة قماش لم يبدأ بقصها بعد.`,
  hindi: `गाँव के बाहर एक पुराना बरगद था, जिसके नीचे हर शाम लोग इकट्ठा होते थे। बच्चे उसकी जड़ों पर झूलते, बूढ़े ताश खेलते और औरतें कुएँ से लौटते
हुए थोड़ी देर वहीं बैठ जातीं। उस साल बारिश देर से आई थी और सबके मन में चिंता थी। फिर एक दिन मास्टर जी ने सुझाव दिया कि सब मिलकर तालाब को
गहरा करें। पहले किसी ने ध्यान नहीं दिया, लेकिन अगली सुबह जब वे अकेले फावड़ा लेकर निकले, तो शाम तक आधा गाँव उनके साथ मिट्टी ढो रहा था।`,
  chinese: `外婆家的院子里有一棵很老的枣树，每到秋天，红枣落得满地都是。小时候我总以为这棵树是为了我才长在那里的，因为只有我爬得上去。舅舅说，枣树比他
的年纪还大，打仗的那几年，全村人都靠它熬过了冬天。后来城里修路，院子被划进了新的街区，推土机开到门口那天，外婆搬了一把椅子坐在树下，一句话也不说。
工人们等了三天，最后把路往南边挪了六米。现在那条街在地图上有一个奇怪的弯，很多司机都不明白为什么，只有住在附近的人才知道，那里每年还会分枣子。`,
  japanese: `駅前の小さな喫茶店は、雨の日だけ少し早く店を開ける。傘を忘れた人が困らないようにと、先代の店主が始めた習慣だそうだ。カウンターの奥に
は古い時計が三つ並んでいて、どれも違う時刻を指しているが、誰も直そうとしない。常連の一人が言うには、左の時計は奥さんの故郷、真ん中は店主が若いころに
働いていた港町、右は二人がいつか旅行したいと思っている島の時間なのだという。コーヒーは少し濃く、トーストは厚い。窓ガラスを流れる雨を見ていると、急いで
いた理由をいつの間にか忘れてしまう。`,
  korean: `할머니는 시장에서 사십 년 동안 국수를 팔았다. 새벽 네 시에 육수를 올리고, 첫 버스가 도착하기 전에 파를 썰어 놓는 것이 하루의 시작이었다. 손님들은
대부분 이름 대신 먹는 양으로 불렸다. 곱빼기 아저씨, 반 그릇 학생, 국물만 더 달라는 선생님. 어느 겨울 가게를 닫는다는 소문이 돌자 평소에 말이 없던 사람들까지
찾아와 마지막으로 한 그릇만 더 먹겠다고 했다. 그 줄이 다음 골목까지 이어지는 것을 보고 할머니는 앞치마를 다시 묶었고, 결국 그해에도 문을 닫지 못했다.`,
};

/** Small and fast, and the same on every machine. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** About 150 texts of 600 to 4,000 characters. Each is drawn on its own, so that one changed file changes one text. */
export function samples(): Sample[] {
  return [
    ...Object.entries(PROSE).map(([domain, text]) => ({ domain, text })),
    ...pieces("typescript", "src", ".ts"),
    ...pieces("typescript", "providers", ".ts"),
    ...pieces("tests", "test", ".ts"),
    ...pieces("markdown", ".", ".md"),
    ...Object.entries(GENERATED).flatMap(([domain, generate]) =>
      Array.from({ length: 6 }, (_, index) => ({ domain, text: generate(seeded(index)) })),
    ),
  ];
}

/** A piece of every fourth file. */
function pieces(domain: string, folder: string, extension: string): Sample[] {
  const names = readdirSync(join(ROOT, folder), { recursive: folder !== ".", encoding: "utf8" });
  return names
    .filter((name) => name.endsWith(extension))
    .sort()
    .flatMap((name) => {
      const draw = seeded([...name].reduce((hash, char) => Math.imul(hash, 31) + char.charCodeAt(0), 7));
      const text = readFileSync(join(ROOT, folder, name), "utf8");
      if (text.length < 1_500 || draw() > (folder === "." ? 1 : 0.25)) return [];
      const chars = 1_500 + Math.floor(draw() * 2_500);
      const at = Math.floor(draw() * Math.max(0, text.length - chars));
      return [{ domain, text: text.slice(at, at + chars) }];
    });
}

const WORDS =
  "order user invoice status shipped pending total address city Berlin Lagos retry failed amount note".split(" ");

const GENERATED: Record<string, (draw: () => number) => string> = {
  json: (draw) => JSON.stringify(rows(draw, 12), null, 2),
  "json, minified": (draw) => JSON.stringify(rows(draw, 18)),
  csv: (draw) =>
    rows(draw, 40)
      .map((row) => Object.values(row).join(","))
      .join("\n"),
  numbers: (draw) => Array.from({ length: 250 }, () => (draw() * 200 - 100).toFixed(4)).join(", "),
  log: (draw) => Array.from({ length: 25 }, () => logLine(draw)).join("\n"),
  base64: (draw) => bytes(draw, 1_800).toString("base64"),
  "base64, wrapped": (draw) => bytes(draw, 1_800).toString("base64").replaceAll(/.{76}/g, "$&\n"),
  hashes: (draw) => Array.from({ length: 40 }, () => `sha256-${bytes(draw, 32).toString("hex")}`).join("\n"),
  ids: (draw) => Array.from({ length: 60 }, () => `user_${bytes(draw, 12).toString("base64url")}`).join(" "),
};

function rows(draw: () => number, count: number): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, index) => ({
    id: Math.floor(draw() * 1e7),
    name: `${pick(draw)} ${pick(draw)}`,
    createdAt: `2026-0${1 + (index % 9)}-1${index % 10}T0${index % 10}:15:00Z`,
    total: Number((draw() * 1_000).toFixed(2)),
    tags: [pick(draw), pick(draw)],
    paid: draw() > 0.5,
  }));
}

function logLine(draw: () => number): string {
  const path = `/api/v2/${pick(draw)}/${Math.floor(draw() * 1e5)}`;
  return `2026-11-03T08:1${Math.floor(draw() * 10)}:22.${Math.floor(draw() * 1e3)}Z WARN http ${pick(draw)} ${pick(draw)} path=${path} ms=${Math.floor(draw() * 900)}`;
}

function pick(draw: () => number): string {
  return WORDS[Math.floor(draw() * WORDS.length)] ?? "";
}

function bytes(draw: () => number, count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, () => Math.floor(draw() * 256)));
}
