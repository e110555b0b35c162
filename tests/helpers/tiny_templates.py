"""The chat templates of published models, written anew to the same effect."""

# In both, text follows pictures and videos, whatever their order in the message. (Jinja drops a line break
# that follows a tag, so those that count are written as expressions.)
VICUNA = (
    "{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content[0].text }} {% else %}{{ message.role.upper() }}: "
    "{% for part in message.content if part.type != 'text' %}{{ '<' ~ part.type ~ '>\\n' }}{% endfor %}"
    "{% for part in message.content if part.type == 'text' %}{{ part.text }} {% endfor %}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
ONEVISION = (
    "{% for message in messages %}<|im_start|>{{ message.role }} "
    "{% for part in message.content if part.type != 'text' %}<{{ part.type }}>{% endfor %}"
    "{% for part in message.content if part.type == 'text' %}{{ '\\n' ~ part.text }}{% endfor %}<|im_end|>"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>{{ 'assistant\\n' }}{% endif %}"
)
CHATML = """\
{{% for message in messages %}}<|im_start|>{{{{ message.role }}}}
{{% for part in message.content %}}{{% if part.type == 'image' %}}{image}\
{{% elif part.type == 'video' %}}{video}\
{{% else %}}{{{{ part.text }}}}{{% endif %}}{{% endfor %}}<|im_end|>
{{% endfor %}}{{% if add_generation_prompt %}}<|im_start|>assistant
{{% endif %}}"""
QWEN = CHATML.format(
    image="<|vision_start|><|image_pad|><|vision_end|>", video="<|vision_start|><|video_pad|><|vision_end|>"
)
INTERN = CHATML.format(image="<IMG_CONTEXT>\n", video="<video>\n")
SMOL = (
    "<|im_start|>{% for message in messages %}{{ message.role | capitalize }}:"
    "{% if message.content[0].type != 'image' %} {% endif %}"
    "{% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% else %}<{{ part.type }}>{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
GEMMA = """\
{{ bos_token }}{% if messages[0].role == 'system' %}{% set first = messages[0].content[0].text ~ '\n\n' %}\
{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}\
{% for message in rest %}<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}
{{ first if loop.first else '' }}\
{% for part in message.content %}{% if part.type == 'image' %}<start_of_image>\
{% else %}{{ part.text | trim }}{% endif %}{% endfor %}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""
# It opens a thought, or writes an empty one to prevent it.
QWEN_THINKS = QWEN.removesuffix("{% endif %}") + (
    "{{ '<think>\\n' }}{% if enable_thinking is defined and not enable_thinking %}{{ '\\n</think>\\n\\n' }}"
    "{% endif %}{% endif %}"
)
MINICPM = CHATML.format(image="<|image_pad|>", video="<|video_pad|>")
MOLMO = CHATML.format(image="<|image|>", video="<|video|>")
GEMMA_4 = """\
{{ bos_token }}{% if enable_thinking is defined and enable_thinking %}<|turn>system
<|think|>
<turn|>
{% endif %}{% for message in messages %}<|turn>{{ 'model' if message.role == 'assistant' else message.role }}
{% for part in message.content %}{% if part.type == 'text' %}{{ part.text | trim }}\
{% else %}<|{{ part.type }}|>{% endif %}{% endfor %}<turn|>
{% endfor %}{% if add_generation_prompt %}<|turn>model
{% if not enable_thinking | default(false) %}{{ '<|channel>thought\\n<channel|>' }}{% endif %}{% endif %}"""
GLM = """\
[gMASK]<sop>{% for message in messages %}<|{{ message.role }}|>
{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}\
{% else %}<|begin_of_{{ part.type }}|><|{{ part.type }}|><|end_of_{{ part.type }}|>{% endif %}{% endfor %}\
{% if message.role == 'user' and enable_thinking is defined and not enable_thinking %}/nothink{% endif %}\
{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% if enable_thinking is defined and not enable_thinking %}{{ '<think></think>\\n' }}{% endif %}{% endif %}"""
