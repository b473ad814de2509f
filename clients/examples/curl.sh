#!/usr/bin/env bash
# Plain HTTP. Needs curl, and jq to read the replies: `./curl.sh`.
set -euo pipefail

url=${OPENAI_BASE_URL:-http://127.0.0.1:8000/v1}/chat/completions
model=${MODEL:-smollm2-135m-instruct}

post() {
    curl --silent --show-error --fail-with-body --no-buffer "$url" \
        -H "Content-Type: application/json" \
        -H "Authorization: Bearer ${OPENAI_API_KEY:-none}" \
        -d "$1"
}

echo "# A plain call"
post '{
  "model": "'"$model"'", "max_tokens": 100,
  "messages": [{"role": "user", "content": "What is 17 + 25?"}]
}' | jq -r '.choices[0].message.content'

echo
echo "# Streamed"
post '{
  "model": "'"$model"'", "max_tokens": 100, "stream": true,
  "messages": [{"role": "user", "content": "What is 17 + 25?"}]
}' | sed -n -u 's/^data: //p' | grep --line-buffered '^{' |
    jq -rj --unbuffered '.choices[0].delta.content // empty'
echo

echo
echo "# With a budget: at most 64 hidden tokens, all counted"
post '{
  "model": "'"$model"'", "max_tokens": 100,
  "max_thinking_tokens": 64, "include_reasoning": true,
  "messages": [{"role": "user", "content": "What is 17 + 25?"}]
}' | jq -r '
  "thought: " + .choices[0].message.reasoning,
  "answer:  " + .choices[0].message.content,
  "receipt: " + (.choices[0].thinking | tojson),
  "usage:   " + (.usage | tojson)'

echo
echo "# With a tool (a large model may decide by itself: \"tool_choice\": \"auto\")"
post '{
  "model": "'"$model"'", "max_thinking_tokens": 64,
  "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
  "tool_choice": "required",
  "tools": [{
    "type": "function",
    "function": {
      "name": "get_weather",
      "description": "Get the weather in a city.",
      "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Berlin", "Paris"]}},
        "required": ["city"],
        "additionalProperties": false
      }
    }
  }]
}' | jq -r '.choices[0].message.tool_calls[].function | "call:    \(.name)(\(.arguments))"'
