-- One body after the other, each call with a hookInstance and, where there are tokens, a token of its own.
-- Arguments: a file of tokens or "-", what stands for the hookInstance, the files of bodies.
local parts, tokens, sent, run = {}, nil, 0, ""

local function content(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function init(arguments)
  if arguments[1] ~= "-" then
    tokens = {}
    for token in io.lines(arguments[1]) do
      tokens[#tokens + 1] = token
    end
  end
  run = string.format("%08x", os.time())
  for index = 3, #arguments do
    local body = content(arguments[index])
    local first, last = body:find(arguments[2], 1, true)
    local head = string.format(
      "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n",
      wrk.path, wrk.host, wrk.port, #body
    )
    parts[index - 2] = {head = head, before = body:sub(1, first - 1), after = body:sub(last + 1)}
  end
end

function request()
  local part = parts[sent % #parts + 1]
  local bearer = ""
  sent = sent + 1
  if tokens then
    bearer = "Authorization: Bearer " .. (tokens[sent] or "none") .. "\r\n"
  end
  local instance = string.format("%s-0000-4000-8000-%012x", run, sent)
  return part.head .. bearer .. "\r\n" .. part.before .. instance .. part.after
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"errors":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
