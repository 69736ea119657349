// Shows /openapi.json.

const ARGUMENTS = {
  remove: "-o clean.png",
  segment: "-o mask.png",
  detect: "",
  all: "-o all.zip",
};

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function row(name, text) {
  const tr = element("tr");
  const th = element("th", name);
  th.scope = "row";
  tr.append(th, element("td", text));
  return tr;
}

function describe(field) {
  const choices = [field, ...(field.anyOf ?? [])].flatMap((each) => each.enum ?? []);
  const more = choices.length ? ` One of ${choices.join(", ")}.` : "";
  const standard = field.default ?? null;
  const otherwise = standard === null || standard === "" ? "" : ` Default: ${standard}.`;
  return (field.description ?? "").replaceAll("`", "") + more + otherwise;
}

function article(path, method, operation) {
  const made = element("article");
  const title = element("h3");
  title.append(element("span", method.toUpperCase(), "method"), element("span", path));
  made.append(title, element("p", operation.summary));
  const schema = operation.requestBody?.content["multipart/form-data"].schema;
  const image = schema ? "-F image=@photo.jpg " : "";
  const command = `curl ${image}${location.origin}${path} ${ARGUMENTS[operation.operationId] ?? ""}`;
  made.append(element("pre", command.trim()));
  if (schema) {
    const fields = element("table");
    const list = Object.entries(schema.properties);
    fields.append(...list.map(([name, field]) => row(name, describe(field))));
    const answers = element("table");
    const statuses = Object.entries(operation.responses);
    answers.append(...statuses.map(([status, each]) => row(status, each.description.replaceAll("`", ""))));
    made.append(fields, answers);
  }
  return made;
}

const { paths } = await (await fetch("/openapi.json")).json();
const routes = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => article(path, method, operation)));
routes.sort((a, b) => a.childElementCount < b.childElementCount ? 1 : -1);
document.getElementById("routes").append(...routes);
