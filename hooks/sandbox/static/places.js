// Where a member of a JSON text stands, by its path as an error names it: context.draftOrders.entry[0].resource.

// The place of a path or of a reference (Observation/anc-1), as [from, to]; the nearest enclosing place where it is missing.
export function placeOf(text, told) {
  // The FHIR check writes list.0.member, and .root for a whole resource; an error of the whole text says body.
  const wanted = told.replace(/\.(\d+)(?=\.|$)/g, "[$1]").replace(/\.root$/, "").replace(/^body$/, "");
  const line = /^line (\d+) column (\d+)$/.exec(wanted);
  if (line) return atLine(text, Number(line[1]), Number(line[2]));
  const { places, resources } = scan(text);
  if (resources.has(wanted)) return { at: resources.get(wanted), exact: true };
  for (let path = wanted; path; path = path.replace(/(\.|^)[^.[\]]*$|\[\d+\]$/, "")) {
    if (places.has(path)) return { at: places.get(path), exact: path === wanted };
  }
  return { at: [0, Math.min(1, text.length)], exact: wanted === "" };
}

function atLine(text, line, column) {
  const from = text.split("\n").slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
  return { at: [from, from + 1], exact: true };
}

// Every path with its place, and every resource by type and id with the place of its id. What follows a fault is not scanned.
function scan(text) {
  const places = new Map();
  const resources = new Map();
  const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gy;
  let [token, from] = ["", 0];

  function next() {
    while (/\s/.test(text[tokens.lastIndex] ?? "")) tokens.lastIndex += 1;
    from = tokens.lastIndex;
    token = tokens.exec(text)?.[0] ?? "";
  }

  function value(path, begins) {
    if (token === "{") members(path);
    else if (token === "[") items(path);
    const told = token;
    if (!places.has(path)) places.set(path, [begins, from + token.length]);
    return told;
  }

  function members(path) {
    const told = {};
    for (next(); token && token !== "}"; next()) {
      if (token === ",") continue;
      const [key, begins] = [unquoted(token), from];
      next();
      if (token !== ":") return;
      next();
      told[key] = unquoted(value(path ? `${path}.${key}` : key, begins));
    }
    if (told.resourceType && told.id) resources.set(`${told.resourceType}/${told.id}`, places.get(path ? `${path}.id` : "id"));
  }

  function items(path) {
    let index = 0;
    for (next(); token && token !== "]"; next()) {
      if (token === ",") continue;
      value(`${path}[${index}]`, from);
      index += 1;
    }
  }

  next();
  value("", from);
  return { places, resources };
}

function unquoted(token) {
  try {
    return token.startsWith('"') ? JSON.parse(token) : token;
  } catch {
    return token;
  }
}
