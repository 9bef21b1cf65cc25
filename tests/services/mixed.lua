-- The mixed calls of load.py for wrk: wrk -t1 … -s mixed.lua URL -- FILE_ID WORD

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  injected_word, injected, refused = args[2], 0, 0
  local content = string.rep("some words and a line's end\n", 300)
  local form = '--XX\r\ncontent-disposition: form-data; name="file"; filename="small.txt"\r\n'
    .. "content-type: text/plain\r\n\r\n" .. content .. "\r\n--XX--\r\n"
  local headers = { ["content-type"] = "multipart/form-data; boundary=XX" }
  retrieve = wrk.format("GET", "/files/" .. args[1])
  list = wrk.format("GET", "/files")
  upload = wrk.format("POST", "/files", headers, form)
  download = wrk.format("GET", "/files/" .. args[1] .. "/content")
end

function request()
  local dice = math.random(100)
  if dice <= 40 then
    return retrieve
  elseif dice <= 60 then
    return list
  elseif dice <= 80 then
    return upload
  end
  return download
end

function response(status, headers, body)
  if status >= 400 then
    if body:find(injected_word, 1, true) then
      injected = injected + 1
    else
      refused = refused + 1
    end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"calls": %d, "p50": %f, "p99": %f, "injected": %d, "errors": '
      .. '{"connect": %d, "read": %d, "write": %d, "timeout": %d, "refused": %d}}\n',
    summary.requests, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    threads[1]:get("injected"),
    errors.connect, errors.read, errors.write, errors.timeout, threads[1]:get("refused")
  ))
end
