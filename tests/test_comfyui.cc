// SPDX-License-Identifier: MIT
//
// test_comfyui.cc - ComfyUI's graphs: those that are made at random from known settings tell these settings again, as
// the API spells them and as the editor does; what is special about some nodes; and hostile graphs.
#include "support.h"

#include "pictures.h"

#include <functional>
#include <map>
#include <random>
#include <set>

namespace
{

using test::png_chunk;
using namespace std::string_literals;

// ---- what is told of a PNG with these texts ----

using Texts = std::vector<std::pair<std::string, std::string>>;
using Told = std::map<std::string, std::string>;

std::string png(const Texts &texts, const char *kind = "tEXt")
{
    std::string chunks, plain = test::plain_png(8, 8, 1, 2, 3);
    for (const auto &[keyword, text] : texts)
        chunks += png_chunk(kind, keyword + '\0' + text);
    return plain.insert(33, chunks);
}

Told told(const std::string &image)
{
    Told all;
    raiiaf_legacy *legacy = nullptr;
    test::Error error;
    EXPECT_TRUE(test::good(raiiaf_scan(&legacy, image.data(), image.size(), nullptr, nullptr, &error), error));
    if (!legacy)
        return all;
    if (const char *dialect = raiiaf_legacy_dialect(legacy))
        all["dialect"] = dialect;
    raiiaf_value value;
    for (size_t i = 0; const char *field = raiiaf_legacy_field(i); i++)
        if (raiiaf_legacy_get(legacy, field, &value))
            all[field] = test::Json::parse("[" + std::string(value.text, value.size) + "]")[size_t{0}].text();
    for (const char *extra : {"loras", "sampler_passes"})
        if (raiiaf_legacy_get(legacy, extra, &value))
            all[extra] = std::string(value.text, value.size);
    raiiaf_legacy_free(legacy);
    return all;
}

std::string in_quotes(const std::string &text)
{
    std::string out = "\"";
    for (char c : text)
        out += c == '\n' ? "\\n"s : c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
    return out + '"';
}

// ---- a graph that can be spelt in both ways ----

struct Node;

struct Input {
    std::string name;
    std::string value;          // JSON; empty where only a link may be
    const Node *from = nullptr; // a link counts for more than a value
    int slot = 0;
};

enum Mode { ALWAYS = 0, MUTED = 2, BYPASSED = 4 };

struct Node {
    std::string id, type;
    std::vector<Input> inputs;
    Mode mode = ALWAYS; // muted and bypassed nodes are in the editor's graph alone
};

class Graph
{
  public:
    explicit Graph(uint64_t seed) : random(seed)
    {
    }

    Node *add(const std::string &type, std::vector<Input> inputs = {}, Mode mode = ALWAYS)
    {
        nodes.push_back(std::make_unique<Node>(Node{name(), type, std::move(inputs), mode}));
        return nodes.back().get();
    }

    bool chance(int percent)
    {
        return below(100) < static_cast<uint64_t>(percent);
    }

    uint64_t below(uint64_t limit)
    {
        return random() % limit;
    }

    template <typename List> auto &any(List &list)
    {
        return list[below(list.size())];
    }

    std::string words(int most)
    {
        static const std::vector<std::string> all = {
            "fox",   "(masterpiece:1.2)", "\"quoted\"", "b\\w", "テスト", "<lora:x:1>", "sky,",
            "1girl", "a\nline",           "{x|y}",      "é",    "blue"};
        std::string text = "w" + std::to_string(below(1000000));
        for (uint64_t i = below(static_cast<uint64_t>(most)); i > 0; i--)
            text += " " + any(all);
        return text;
    }

    std::string api()
    {
        std::vector<std::string> spelt;
        for (const auto &node : nodes) {
            std::string inputs;
            if (node->mode != ALWAYS)
                continue;
            for (const Input &given : node->inputs) {
                Input input = given;
                while (input.from && input.from->mode == BYPASSED) {
                    input.slot = input.from->inputs[0].slot;
                    input.from = input.from->inputs[0].from;
                }
                std::string link =
                    input.from ? "[" + spelt_id(input.from) + ", " + std::to_string(input.slot) + "]" : "";
                inputs +=
                    (inputs.empty() ? "" : ", ") + in_quotes(input.name) + ": " + (input.from ? link : input.value);
            }
            spelt.push_back(in_quotes(node->id) + ": {\"inputs\": {" + inputs +
                            "}, \"class_type\": " + in_quotes(node->type) + "}");
        }
        return "{" + shuffled(spelt) + "}";
    }

    std::string workflow()
    {
        std::vector<std::string> spelt, links;
        for (const auto &node : nodes) {
            std::string inputs, values;
            for (const Input &input : node->inputs) {
                std::string link = "null";
                if (input.from) {
                    link = std::to_string(links.size() + 1);
                    links.push_back("[" + link + ", " + spelt_id(input.from) + ", " + std::to_string(input.slot) +
                                    ", " + spelt_id(node.get()) + ", 0, \"ANY\"]");
                }
                if (!input.value.empty())
                    values += (values.empty() ? "" : ", ") + input.value +
                              (input.name == "seed" || input.name == "noise_seed" ? ", \"randomize\"" : "");
                inputs += (inputs.empty() ? "" : ", ") + "{\"name\": "s + in_quotes(input.name) +
                          ", \"type\": \"ANY\", " +
                          (input.value.empty() ? "" : "\"widget\": {\"name\": " + in_quotes(input.name) + "}, ") +
                          "\"link\": " + link + "}";
            }
            spelt.push_back("{\"id\": " + spelt_id(node.get()) + ", \"type\": " + in_quotes(node->type) +
                            ", \"mode\": " + std::to_string(node->mode) + ", \"inputs\": [" + inputs +
                            "], \"outputs\": [{\"type\": \"ANY\"}], \"widgets_values\": [" + values + "]}");
        }
        return "{\"nodes\": [" + shuffled(spelt) + "], \"links\": [" + shuffled(links) + "], \"version\": 0.4}";
    }

  private:
    std::mt19937_64 random;
    std::vector<std::unique_ptr<Node>> nodes;
    std::set<std::string> names;

    std::string name()
    {
        for (;;) {
            std::string number = std::to_string(below(10000));
            std::string found = chance(60)   ? number
                                : chance(50) ? number + ":" + std::to_string(below(30))
                                             : "N_" + number;
            if (names.insert(found).second)
                return found;
        }
    }

    // An id that is a number is a number in some links, too.
    std::string spelt_id(const Node *node)
    {
        bool number = node->id.find_first_not_of("0123456789") == std::string::npos;
        return number && chance(30) ? node->id : in_quotes(node->id);
    }

    std::string shuffled(std::vector<std::string> parts)
    {
        std::shuffle(parts.begin(), parts.end(), random);
        std::string all;
        for (const std::string &part : parts)
            all += (all.empty() ? "" : ", ") + part;
        return all;
    }
};

// ---- graphs from settings ----

class Maker
{
  public:
    explicit Maker(uint64_t seed) : graph(seed)
    {
        settings["prompt"] = graph.words(12);
        if (graph.chance(85))
            settings["negative_prompt"] = graph.words(8);
        settings["seed"] = std::to_string(graph.chance(20) ? UINT64_MAX - graph.below(100) : graph.below(UINT64_MAX));
        settings["steps"] = std::to_string(1 + graph.below(150));
        settings["sampler"] = graph.any(samplers);
        settings["cfg_scale"] = std::to_string(graph.below(20)) + "." + std::to_string(1 + graph.below(9));
        settings["width"] = std::to_string(64 * (1 + graph.below(32)));
        settings["height"] = std::to_string(64 * (1 + graph.below(32)));
        make();
    }

    Graph graph;
    Told settings;

  private:
    const std::vector<std::string> samplers = {"euler", "dpmpp_2m_sde", "uni_pc_bh2", "res_multistep"};
    const std::vector<std::string> schedulers = {"normal", "karras", "sgm_uniform", "beta"};

    // A value, or a link to a node that holds it.
    Input value(const std::string &name, const std::string &json)
    {
        static const std::vector<std::pair<std::string, std::string>> holders = {
            {"PrimitiveInt", "value"}, {"Float", "Number"},        {"Anything", "value"}, {"INTConstant", "value"},
            {"JWInteger", "value"},    {"Seed (rgthree)", "seed"}, {"easy seed", "seed"}, {"ImpactFloat", "value"}};
        Input input{name, json};
        if (json[0] != '"' && graph.chance(25)) {
            const auto &[type, field] = graph.any(holders);
            if (field == "seed" && name.find("seed") == std::string::npos)
                return input;
            Node *holder = graph.add(type, {{field, json}});
            if (graph.chance(30))
                holder = graph.add("Reroute", {{"", "", holder}});
            input.from = holder;
            input.value = "0";
        }
        return input;
    }

    Input text(const std::string &name, const std::string &content)
    {
        Input input{name, in_quotes(content)};
        size_t middle = content.find(' ');
        if (graph.chance(40)) {
            input.from = source(in_quotes(content));
            input.value = "\"\"";
        } else if (middle != std::string::npos && graph.chance(30)) {
            input.from = graph.add("StringConcatenate", {{"string_a", in_quotes(content.substr(0, middle))},
                                                         {"string_b", in_quotes(content.substr(middle + 1))},
                                                         {"delimiter", "\" \""}});
            input.value = "\"\"";
        }
        return input;
    }

    // A node that gives a text, the likes of which custom nodes bring.
    const Node *source(const std::string &json)
    {
        const Node *other = graph.add("PrimitiveString", {{"value", "\"not chosen\""}});
        switch (graph.below(6)) {
        case 0:
            return graph.add("Text Multiline", {{"text", json}});
        case 1:
            return graph.add("ShowText|pysssss", {{"text", "", source(json)}});
        case 2:
            return graph.add("Reroute", {{"", "", source(json)}});
        case 3: {
            const Node *on = graph.add("PrimitiveBoolean", {{"value", "true"}});
            return graph.add("ComfySwitchNode",
                             {{"switch", "", on}, {"on_false", "", other}, {"on_true", "", source(json)}});
        }
        case 4:
            return graph.add("String Literal", {{"string", json}});
        default:
            return graph.add("PrimitiveStringMultiline", {{"value", json}});
        }
    }

    // A prompt of several lines may come of several conditionings.
    const Node *encode(const std::string &content, const Node *clip)
    {
        static const std::vector<std::pair<std::string, std::string>> joints = {
            {"ConditioningCombine", "conditioning_1 conditioning_2"},
            {"ConditioningConcat", "conditioning_to conditioning_from"}};
        size_t end = content.find('\n');
        if (end == std::string::npos || end + 1 == content.size() || graph.chance(60))
            return encode_one(content, clip);
        const auto &[type, inputs] = graph.any(joints);
        size_t space = inputs.find(' ');
        const Node *first = encode_one(content.substr(0, end), clip),
                   *second = encode_one(content.substr(end + 1), clip);
        return graph.add(type, {{inputs.substr(0, space), "", first}, {inputs.substr(space + 1), "", second}});
    }

    const Node *encode_one(const std::string &content, const Node *clip)
    {
        const Node *node;
        if (graph.chance(15))
            node = graph.add("CLIPTextEncodeSDXL", {{"width", "1024"},
                                                    {"height", "1024"},
                                                    {"crop_w", "0"},
                                                    {"crop_h", "0"},
                                                    {"target_width", "1024"},
                                                    {"target_height", "1024"},
                                                    text("text_g", content),
                                                    text("text_l", content),
                                                    {"clip", "", clip, 1}});
        else if (graph.chance(20))
            node = graph.add(
                "CLIPTextEncodeFlux",
                {text("clip_l", content), text("t5xxl", content), {"guidance", "3.5"}, {"clip", "", clip, 1}});
        else
            node = graph.add("CLIPTextEncode", {text("text", content), {"clip", "", clip, 1}});
        for (; graph.chance(30);)
            node = pass_on(node);
        return node;
    }

    const Node *pass_on(const Node *node)
    {
        static const std::vector<std::pair<std::string, std::string>> types = {
            {"ConditioningSetTimestepRange", "conditioning"},
            {"FluxGuidance", "conditioning"},
            {"ReferenceLatent", "conditioning"},
            {"unCLIPConditioning", "conditioning"},
            {"ConditioningSetMask", "conditioning"},
            {"ControlNetApply", "conditioning"},
            {"Reroute", ""},
            {"SomebodysNode", "conditioning"}};
        const auto &[type, input] = graph.any(types);
        if (type == "FluxGuidance")
            return graph.add(type, {{"guidance", "2.5"}, {input, "", node}});
        return graph.add(type, {{input, "", node}});
    }

    Node *load()
    {
        std::string name = graph.words(2) + ".safetensors";
        settings["model_name"] = name;
        if (graph.chance(70))
            return graph.add("CheckpointLoaderSimple", {{"ckpt_name", in_quotes(name)}});
        return graph.add("UNETLoader", {{"unet_name", in_quotes(name)}, {"weight_dtype", "\"default\""}});
    }

    const Node *model()
    {
        const Node *node = load();
        for (; graph.chance(40);)
            switch (graph.below(5)) {
            case 0:
                node = graph.add("ModelSamplingFlux", {{"max_shift", "1.15"}, {"model", "", node}});
                break;
            case 4:
                node = graph.add("LoraLoaderModelOnly", {{"model", "", node}, {"lora_name", "\"not used\""}}, BYPASSED);
                break;
            case 1:
                node =
                    graph.add("ModelMergeSimple",
                              {{"ratio", "0.5"},
                               {"model1", "", node},
                               {"model2", "", graph.add("CheckpointLoaderSimple", {{"ckpt_name", "\"other.ckpt\""}})}});
                break;
            default:
                loras.insert(graph.words(2));
                node = graph.add(
                    "LoraLoaderModelOnly",
                    {{"lora_name", in_quotes(*loras.rbegin())}, {"strength_model", "0.75"}, {"model", "", node}});
            }
        return node;
    }

    // The two prompts, as two links.
    std::pair<Input, Input> prompts(const Node *clip)
    {
        bool has_negative = settings.count("negative_prompt") > 0;
        const Node *positive = encode(settings["prompt"], clip);
        const Node *negative = has_negative ? encode(settings["negative_prompt"], clip)
                                            : graph.add("ConditioningZeroOut", {{"conditioning", "", positive}});
        if (!has_negative)
            settings.erase("negative_prompt");
        if (!graph.chance(30))
            return {{"positive", "", positive}, {"negative", "", negative}};
        const Node *both = graph.add("ControlNetApplyAdvanced",
                                     {{"strength", "0.9"}, {"positive", "", positive}, {"negative", "", negative}});
        return {{"positive", "", both, 0}, {"negative", "", both, 1}};
    }

    const Node *simple(const std::string &type, const std::string &seed, const Node *from, const Node *clip,
                       const Node *latent)
    {
        settings["scheduler"] = graph.any(schedulers);
        auto [positive, negative] = prompts(clip);
        std::vector<Input> inputs = {value(seed, settings["seed"]),
                                     value("steps", settings["steps"]),
                                     value("cfg", settings["cfg_scale"]),
                                     {"sampler_name", in_quotes(settings["sampler"])},
                                     {"scheduler", in_quotes(settings["scheduler"])},
                                     {"denoise", "1.0"}};
        if (type == "KSamplerAdvanced") {
            inputs.insert(inputs.begin(), {"add_noise", "\"enable\""});
            inputs.back() = {"start_at_step", "0"};
            inputs.push_back({"end_at_step", "10000"});
            inputs.push_back({"return_with_leftover_noise", "\"disable\""});
        }
        for (const Input &link : {Input{"model", "", from}, positive, negative, Input{"latent_image", "", latent}})
            inputs.push_back(link);
        return graph.add(type, inputs);
    }

    const Node *custom(const Node *from, const Node *clip, const Node *latent)
    {
        settings["scheduler"] = graph.any(schedulers);
        auto [positive, negative] = prompts(clip);
        const Node *sampler = graph.add("KSamplerSelect", {{"sampler_name", in_quotes(settings["sampler"])}});
        const Node *sigmas = graph.add("BasicScheduler", {{"scheduler", in_quotes(settings["scheduler"])},
                                                          value("steps", settings["steps"]),
                                                          {"denoise", "1.0"},
                                                          {"model", "", from}});
        if (graph.chance(30))
            sigmas = graph.add("SplitSigmas", {{"step", "0"}, {"sigmas", "", sigmas}});
        if (graph.chance(40))
            return graph.add("SamplerCustom", {{"add_noise", "true"},
                                               {"noise_seed", settings["seed"]},
                                               {"cfg", settings["cfg_scale"]},
                                               {"model", "", from},
                                               positive,
                                               negative,
                                               {"sampler", "", sampler},
                                               {"sigmas", "", sigmas},
                                               {"latent_image", "", latent}});
        const Node *noise = graph.add("RandomNoise", {value("noise_seed", settings["seed"])});
        if (graph.chance(30)) { // which knows neither a negative prompt nor a scale
            settings.erase("negative_prompt");
            settings.erase("cfg_scale");
            const Node *guider =
                graph.add("BasicGuider", {{"model", "", from}, {"conditioning", "", positive.from, positive.slot}});
            return graph.add("SamplerCustomAdvanced", {{"noise", "", noise},
                                                       {"guider", "", guider},
                                                       {"sampler", "", sampler},
                                                       {"sigmas", "", sigmas},
                                                       {"latent_image", "", latent}});
        }
        const Node *guider =
            graph.add("CFGGuider", {value("cfg", settings["cfg_scale"]), {"model", "", from}, positive, negative});
        return graph.add("SamplerCustomAdvanced", {{"noise", "", noise},
                                                   {"guider", "", guider},
                                                   {"sampler", "", sampler},
                                                   {"sigmas", "", sigmas},
                                                   {"latent_image", "", latent}});
    }

    // Another pass over what a sampler gave: as a latent, or decoded, scaled and encoded again.
    const Node *again(const Node *from, const Node *clip, const Node *sampler, Mode mode = ALWAYS)
    {
        const Node *latent = graph.add("LatentUpscale", {{"upscale_method", "\"area\""},
                                                         {"width", "4096"},
                                                         {"height", "4096"},
                                                         {"crop", "\"disabled\""},
                                                         {"samples", "", sampler}});
        if (graph.chance(50)) {
            const Node *image = graph.add("VAEDecode", {{"samples", "", sampler}, {"vae", "", clip, 2}});
            image = graph.add("ImageUpscaleWithModel", {{"image", "", image}});
            latent = graph.add("VAEEncode", {{"pixels", "", image}, {"vae", "", clip, 2}});
        }
        const Node *other = graph.add("CLIPTextEncode", {{"text", "\"another prompt\""}, {"clip", "", clip, 1}});
        return graph.add("KSampler",
                         {{"seed", "7"},
                          {"steps", "3"},
                          {"cfg", "1"},
                          {"sampler_name", "\"ddim\""},
                          {"scheduler", "\"simple\""},
                          {"denoise", "0.4"},
                          {"model", "", from},
                          {"positive", "", other},
                          {"negative", "", other},
                          {"latent_image", "", latent}},
                         mode);
    }

    void make()
    {
        const Node *from = model(),
                   *clip = graph.add("CLIPLoader", {{"clip_name", "\"t5.safetensors\""}, {"type", "\"x\""}});
        const Node *latent =
            graph.add(graph.chance(50) ? "EmptyLatentImage" : "EmptySD3LatentImage",
                      {value("width", settings["width"]), value("height", settings["height"]), {"batch_size", "1"}});
        const Node *sampler = graph.chance(50)   ? simple("KSampler", "seed", from, clip, latent)
                              : graph.chance(50) ? simple("KSamplerAdvanced", "noise_seed", from, clip, latent)
                                                 : custom(from, clip, latent);
        while (graph.chance(30))
            sampler = again(from, clip, sampler);
        const Node *image = graph.add("VAEDecode", {{"samples", "", sampler}, {"vae", "", clip, 2}});
        graph.add(graph.chance(80) ? "SaveImage" : "PreviewImage", {{"images", "", image}});
        graph.add("Note", {{"text", "\"not a prompt\""}});
        if (graph.chance(30))
            graph.add("SaveImage", {{"images", "", again(from, clip, latent, MUTED)}}, MUTED);
    }

    std::set<std::string> loras;
};

void expect_settings(const Told &settings, Told found)
{
    EXPECT_EQ("comfyui", found["dialect"]);
    for (const char *ignored : {"dialect", "loras", "sampler_passes", "guidance"})
        found.erase(ignored);
    EXPECT_EQ(settings, found);
}

TEST(ComfyUi, TellsTheSettingsOfRandomGraphs)
{
    for (uint64_t seed = 1; seed <= 400 && !HasFailure(); seed++) {
        SCOPED_TRACE("graph " + std::to_string(seed));
        Maker maker(seed);
        expect_settings(maker.settings, told(png({{"prompt", maker.graph.api()}})));
    }
}

TEST(ComfyUi, TellsTheSettingsOfRandomWorkflows)
{
    for (uint64_t seed = 1001; seed <= 1400 && !HasFailure(); seed++) {
        SCOPED_TRACE("graph " + std::to_string(seed));
        Maker maker(seed);
        expect_settings(maker.settings, told(png({{"workflow", maker.graph.workflow()}})));
    }
}

// ---- carriers ----

std::string plain_graph(const std::string &prompt = "\"a fox\"", const std::string &more = "")
{
    return R"j({"3": {"inputs": {"seed": 5, "steps": 20, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal",
        "denoise": 1.0, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]},
        "class_type": "KSampler"},
        "4": {"inputs": {"ckpt_name": "sub/a.safetensors"}, "class_type": "CheckpointLoaderSimple"},
        "5": {"inputs": {"width": 512, "height": 768, "batch_size": 1}, "class_type": "EmptyLatentImage"},
        "6": {"inputs": {"text": )j" +
           prompt + R"j(, "clip": ["4", 1]}, "class_type": "CLIPTextEncode"},
        "7": {"inputs": {"text": "bad", "clip": ["4", 1]}, "class_type": "CLIPTextEncode"},
        "8": {"inputs": {"samples": ["3", 0], "vae": ["4", 2]}, "class_type": "VAEDecode"},
        "9": {"inputs": {"images": ["8", 0]}, "class_type": "SaveImage"})j" +
           (more.empty() ? "" : ", " + more) + "}";
}

TEST(ComfyUi, ReadsTheChunkOfAnimations)
{
    Told found = told(png({{"prompt", plain_graph()}}, "comf"));
    EXPECT_EQ("comfyui", found["dialect"]);
    EXPECT_EQ("a fox", found["prompt"]);
    EXPECT_EQ("sub/a.safetensors", found["model_name"]);
}

TEST(ComfyUi, ReadsBothGraphsInOneObject)
{
    EXPECT_EQ("a fox", told(png({{"Comment", "{\"prompt\": " + plain_graph() + ", \"workflow\": {}}"}}))["prompt"]);
    EXPECT_EQ("a fox", told(png({{"Comment", "{\"prompt\": " + in_quotes(plain_graph()) + "}"}}))["prompt"]);
    EXPECT_EQ("a fox", told(png({{"Make", "Prompt: " + plain_graph()}}))["prompt"]);
}

TEST(ComfyUi, PrefersTheGraphToTheTextOfASaver)
{
    const std::string text = "shown\nNegative prompt: n\nSteps: 9, Sampler: lcm, CFG Scale: 2.0, Seed: 1, Size: 64x64, "
                             "Model hash: 217daae812, Version: ComfyUI";
    Told both = told(png({{"parameters", text}, {"prompt", plain_graph()}}));
    EXPECT_EQ("comfyui-a1111", both["dialect"]);
    EXPECT_EQ("a fox", both["prompt"]);
    EXPECT_EQ("5", both["seed"]);
    EXPECT_EQ(0u, both.count("model_hash"));
    Told unknown = told(png({{"parameters", text}, {"prompt", plain_graph("[\"99\", 0]")}}));
    EXPECT_EQ("shown", unknown["prompt"]);
    EXPECT_EQ("1", unknown["seed"]);
    EXPECT_EQ("comfyui-a1111", told(png({{"parameters", text}}))["dialect"]);
}

// ---- nodes ----

Told with_prompt(const std::string &prompt, const std::string &more)
{
    return told(png({{"prompt", plain_graph(prompt, more)}}));
}

TEST(ComfyUi, FollowsSwitches)
{
    const std::string branches =
        R"j("20": {"inputs": {"switch": ["21", 0], "on_true": ["22", 0], "on_false": ["23", 0]},
        "class_type": "ComfySwitchNode"}, "22": {"inputs": {"value": "yes"}, "class_type": "PrimitiveString"},
        "23": {"inputs": {"value": "no"}, "class_type": "PrimitiveString"}, )j";
    const auto chosen = [&](const char *on) {
        return with_prompt("[\"20\", 0]", branches + R"j("21": {"inputs": {"value": )j" + on +
                                              R"j(}, "class_type": "PrimitiveBoolean"})j")["prompt"];
    };
    EXPECT_EQ("yes", chosen("true"));
    EXPECT_EQ("no", chosen("false"));
    EXPECT_EQ("two", with_prompt("[\"20\", 0]", R"j("20": {"inputs": {"select": 2, "input1": "one", "input2": "two"},
        "class_type": "ImpactSwitch"})j")["prompt"]);
}

TEST(ComfyUi, MakesNothingUpOfNodesThatWrite)
{
    const std::string author =
        R"j("20": {"inputs": {"prompt": "you are an expert", "max_length": 512, "clip": ["4", 1]},
        "class_type": "TextGenerate"})j";
    EXPECT_EQ(0u, with_prompt("[\"20\", 0]", author).count("prompt"));
    EXPECT_EQ(0u, with_prompt("[\"20\", 0]", R"j("20": {"inputs": {"prompt": "describe it", "image": ["9", 0]},
        "class_type": "Describer"})j")
                      .count("prompt"));
    EXPECT_EQ("mine", with_prompt("[\"21\", 0]", author + R"j(, "21": {"inputs": {"switch": true, "on_true": ["20", 0],
        "on_false": "mine"}, "class_type": "ComfySwitchNode"})j")["prompt"]);
    EXPECT_EQ("last shown", with_prompt("[\"21\", 0]", author + R"j(, "21": {"inputs": {"text": ["20", 0],
        "text_0": "last shown"}, "class_type": "ShowText|pysssss"})j")["prompt"]);
    const auto shown = [&](const char *from) {
        return with_prompt("[\"21\", 0]", author + R"j(, "21": {"inputs": {"text": "last shown", "anything": [")j" +
                                              from + R"j(", 0]}, "class_type": "easy showAnything"},
        "22": {"inputs": {"value": "new"}, "class_type": "PrimitiveString"})j")["prompt"];
    };
    EXPECT_EQ("new", shown("22"));
    EXPECT_EQ("last shown", shown("20"));
}

TEST(ComfyUi, JoinsTexts)
{
    EXPECT_EQ("a, b", with_prompt("[\"20\", 0]", R"j("20": {"inputs": {"delimiter": ", ", "clean_whitespace": "true",
        "text_a": ["21", 0], "text_c": "b"}, "class_type": "Text Concatenate"},
        "21": {"inputs": {"text": "a"}, "class_type": "Text Multiline"})j")["prompt"]);
    EXPECT_EQ("global\nlocal", with_prompt("\"\", \"text_g\": \"global\", \"text_l\": \"local\"", "")["prompt"]);
    EXPECT_EQ("same", with_prompt("\"\", \"text_g\": \"same\", \"text_l\": \"same\"", "")["prompt"]);
}

std::string sampler_with(const std::string &positive, const std::string &negative, const std::string &more)
{
    return R"j({"1": {"inputs": {"seed": 1, "steps": 2, "cfg": 3, "sampler_name": "euler", "scheduler": "normal",
        "model": ["2", 0], "positive": )j" +
           positive + R"j(, "negative": )j" + negative +
           R"j(, "latent_image": ["2", 3]}, "class_type": "KSampler"}, )j" + more + "}";
}

// The second condition of a guider that takes two is the picture's, often with the negative prompt.
TEST(ComfyUi, PartsThePromptsOfDualGuiders)
{
    const std::string guider = R"j({"3": {"inputs": {"noise": ["30", 0], "guider": ["31", 0], "sampler": ["32", 0],
        "sigmas": ["33", 0], "latent_image": ["5", 0]}, "class_type": "SamplerCustomAdvanced"},
        "30": {"inputs": {"noise_seed": 5}, "class_type": "RandomNoise"},
        "32": {"inputs": {"sampler_name": "euler"}, "class_type": "KSamplerSelect"},
        "33": {"inputs": {"scheduler": "simple", "steps": 20}, "class_type": "BasicScheduler"},
        "6": {"inputs": {"text": "make it snow"}, "class_type": "CLIPTextEncode"},
        "7": {"inputs": {"text": "blurry"}, "class_type": "CLIPTextEncode"},
        "52": {"inputs": {"positive": ["6", 0], "negative": ["7", 0]}, "class_type": "InstructPixToPixConditioning"},
        "53": {"inputs": {"conditioning": ["7", 0]}, "class_type": "ReferenceLatent"},
        "31": {"inputs": {"cfg_conds": 3.0, "cond1": ["52", 0], )j";
    for (const char *links :
         {R"j("cond2": ["52", 1], "negative": ["6", 0])j", R"j("cond2": ["53", 0], "negative": ["7", 0])j",
          R"j("cond2": ["52", 1], "negative": ["7", 0])j"}) {
        Told found = told(png({{"prompt", guider + links + "}, \"class_type\": \"DualCFGGuider\"}}"}}));
        EXPECT_EQ("make it snow", found["prompt"]) << links;
        EXPECT_EQ("blurry", found["negative_prompt"]) << links;
        EXPECT_EQ("3.0", found["cfg_scale"]);
    }
}

TEST(ComfyUi, ReadsLoadersThatHoldThePrompts)
{
    Told found =
        told(png({{"prompt", sampler_with("[\"2\", 1]", "[\"2\", 2]",
                                          R"j("2": {"inputs": {"ckpt_name": "e.safetensors", "lora_name": "None",
        "positive": "the one", "positive_token_normalization": "none", "positive_weight_interpretation": "comfy",
        "negative": "the other", "negative_token_normalization": "none", "negative_weight_interpretation": "comfy",
        "empty_latent_width": 640, "empty_latent_height": 448},
        "class_type": "Efficient Loader"})j")}}));
    EXPECT_EQ("the one", found["prompt"]);
    EXPECT_EQ("the other", found["negative_prompt"]);
    EXPECT_EQ("640", found["width"]);
    EXPECT_EQ("e.safetensors", found["model_name"]);
    EXPECT_EQ(0u, found.count("loras"));
}

TEST(ComfyUi, ListsLoras)
{
    Told found = told(png({{"prompt", sampler_with("[\"3\", 0]", "[\"3\", 0]",
                                                   R"j("2": {"inputs": {"lora_1": {"on": true, "lora": "a.safetensors",
        "strength": 0.5}, "lora_2": {"on": false, "lora": "b.safetensors", "strength": 1}, "model": ["4", 0]},
        "class_type": "Power Lora Loader (rgthree)"}, "3": {"inputs": {"text": "t"}, "class_type": "CLIPTextEncode"},
        "4": {"inputs": {"model": ["5", 0], "lora_stack": ["6", 0]}, "class_type": "CR Apply LoRA Stack"},
        "5": {"inputs": {"ckpt_name": "c.safetensors"}, "class_type": "CheckpointLoaderSimple"},
        "6": {"inputs": {"switch_1": "On", "lora_name_1": "s.safetensors", "model_weight_1": 0.3, "switch_2": "Off",
        "lora_name_2": "off.safetensors", "model_weight_2": 1}, "class_type": "CR LoRA Stack"})j")}}));
    EXPECT_EQ("[[\"a.safetensors\", 0.5], [\"s.safetensors\", 0.3]]", found["loras"]);
    EXPECT_EQ("c.safetensors", found["model_name"]);
}

TEST(ComfyUi, TakesSizesByName)
{
    const auto size = [](const char *inputs) {
        Told found = told(png({{"prompt", sampler_with("[\"2\", 1]", "[\"2\", 1]",
                                                       R"j("2": {"inputs": {"ckpt_name": "c", "latent": ["3", 0]},
        "class_type": "X"}, "3": {"inputs": {"width": ["4", 0], "height": ["4", 1]}, "class_type": "EmptyLatentImage"},
        "4": {"inputs": )j" + std::string(inputs) + R"j(, "class_type": "Picker"})j")}}));
        return found["width"] + "x" + found["height"];
    };
    EXPECT_EQ("896x1152", size(R"j({"resolution": "896x1152 (0.78)"})j"));
    EXPECT_EQ("1344x768", size(R"j({"aspect_ratio": "SDXL - 16:9 landscape 1344x768"})j"));
    const std::string preset = R"j({"width": 64, "height": 64, "aspect_ratio": "SD1.5 - 2:3 portrait 512x768")j";
    EXPECT_EQ("512x768", size((preset + "}").c_str()));
    EXPECT_EQ("768x512", size((preset + R"j(, "swap_dimensions": "On"})j").c_str()));
    EXPECT_EQ("64x64", size(R"j({"width": 64, "height": 64, "aspect_ratio": "custom"})j"));
    EXPECT_EQ("832x1216", size(R"j({"resolution": "832 x 1216", "width": 64, "height": 64})j"));
    EXPECT_EQ("768x512", size(R"j({"empty_latent_aspect": "768 x 512 [L] 3:2", "empty_latent_width": 64,
        "empty_latent_height": 64})j"));
    EXPECT_EQ("64x96", size(R"j({"resolution": "width x height (custom)", "empty_latent_width": 64,
        "empty_latent_height": 96})j"));
    EXPECT_EQ("1024x1024", size(R"j({"aspect_ratio": "1:1 (Square)", "megapixels": 1.0, "multiple": 8
})j"));
    EXPECT_EQ("x", size(R"j({"whatever": 3})j"));
}

// A context, or a pipe, holds what nodes before it put there.
TEST(ComfyUi, FindsNumbersInBundles)
{
    Told found = told(png({{"prompt", R"j({"1": {"inputs": {"seed": ["6", 8], "steps": ["6", 9], "cfg": 3,
        "sampler_name": ["6", 11], "scheduler": "karras", "model": ["6", 1], "positive": ["6", 4], "negative": ["6", 5],
        "latent_image": ["6", 6]}, "class_type": "KSampler"},
        "2": {"inputs": {"seed": 18446744073709551615}, "class_type": "Seed (rgthree)"},
        "3": {"inputs": {"ckpt_name": "c.ckpt"}, "class_type": "CheckpointLoaderSimple"},
        "4": {"inputs": {"model": ["3", 0], "seed": ["2", 0], "steps": 25, "sampler": "euler"},
        "class_type": "Context Big (rgthree)"},
        "5": {"inputs": {"ctx_02": ["4", 0]}, "class_type": "Context Switch (rgthree)"},
        "6": {"inputs": {"base_ctx": ["5", 0], "positive": ["7", 0]}, "class_type": "Context (rgthree)"},
        "7": {"inputs": {"clip_regions": ["8", 0], "mask_token": ""}, "class_type": "BNK_CutoffRegionsToConditioning"},
        "8": {"inputs": {"region_text": "red bag", "target_text": "red", "clip_regions": ["9", 0]},
        "class_type": "BNK_CutoffSetRegions"},
        "9": {"inputs": {"text": "a red bag"}, "class_type": "BNK_CutoffBasePrompt"}})j"}}));
    EXPECT_EQ("18446744073709551615", found["seed"]);
    EXPECT_EQ("25", found["steps"]);
    EXPECT_EQ("euler", found["sampler"]);
    EXPECT_EQ("c.ckpt", found["model_name"]);
    EXPECT_EQ("a red bag", found["prompt"]);
}

// ---- the editor's graph ----

TEST(ComfyUi, KnowsTheWidgetsOfVideoNodes)
{
    Told found = told(png({{"workflow", R"j({"nodes": [
        {"id": 1, "type": "KSampler", "inputs": [{"name": "positive", "link": 1}, {"name": "latent_image", "link": 2},
         {"name": "model", "link": 4}], "widgets_values": [9, "fixed", 20, 8, "euler", "normal", 1]},
        {"id": 2, "type": "WanVaceToVideo", "inputs": [{"name": "positive", "link": 3}],
         "widgets_values": [768, 432, 81, 1, 1]},
        {"id": 3, "type": "TextEncodeAceStepAudio", "widgets_values": ["piano", "la la", 0.9]},
        {"id": 4, "type": "UNETLoader", "widgets_values": ["u", "default"]}],
        "links": [[1, 2, 0, 1, 0, "*"], [2, 2, 2, 1, 1, "*"], [3, 3, 0, 2, 0, "*"], [4, 4, 0, 1, 2, "*"]]})j"}}));
    EXPECT_EQ("768", found["width"]);
    EXPECT_EQ("432", found["height"]);
    EXPECT_EQ("piano\nla la", found["prompt"]);
}

TEST(ComfyUi, PassesBypassedNodes)
{
    const std::string workflow = R"j({"nodes": [
        {"id": 1, "type": "KSampler", "inputs": [{"name": "model", "type": "MODEL", "link": 1},
         {"name": "positive", "type": "CONDITIONING", "link": 2},
         {"name": "negative", "type": "CONDITIONING", "link": 6}], "widgets_values": [9, "fixed", 20, 8, "euler", "normal", 1]},
        {"id": 2, "type": "LoraLoader", "mode": 4, "inputs": [{"name": "clip", "type": "CLIP", "link": null},
         {"name": "model", "type": "MODEL", "link": 3}], "outputs": [{"type": "MODEL"}, {"type": "CLIP"}],
         "widgets_values": ["l.safetensors", 1, 1]},
        {"id": 3, "type": "CheckpointLoaderSimple", "widgets_values": ["m.ckpt"]},
        {"id": 4, "type": "GetNode", "widgets_values": ["kept"]},
        {"id": 5, "type": "SetNode", "inputs": [{"name": "*", "type": "*", "link": 4}], "widgets_values": ["kept"]},
        {"id": 6, "type": "CLIPTextEncode", "widgets_values": ["text"]},
        {"id": 7, "type": "KSampler", "mode": 2, "inputs": [{"name": "model", "type": "MODEL", "link": 5}],
         "widgets_values": [1, "fixed", 2, 3, "ddim", "simple", 1]},
        {"id": 8, "type": "ControlNetApplyAdvanced", "mode": 4, "inputs": [
         {"name": "positive", "type": "CONDITIONING", "link": 7}, {"name": "negative", "type": "CONDITIONING", "link": 8}],
         "outputs": [{"type": "CONDITIONING"}, {"type": "CONDITIONING"}]},
        {"id": 9, "type": "CLIPTextEncode", "widgets_values": ["unwanted"]}],
        "links": [[6, 8, 1, 1, 2, "*"], [7, 4, 0, 8, 0, "*"], [8, 9, 0, 8, 1, "*"], [1, 2, 0, 1, 0, "MODEL"], [2, 4, 0, 1, 1, "*"], [3, 3, 0, 2, 0, "MODEL"], [4, 6, 0, 5, 0, "*"],
         {"id": 5, "origin_id": 3, "origin_slot": 0}]})j";
    Told found = told(png({{"workflow", workflow}}));
    EXPECT_EQ("m.ckpt", found["model_name"]);
    EXPECT_EQ("text", found["prompt"]);
    EXPECT_EQ("unwanted", found["negative_prompt"]);
    EXPECT_EQ("9", found["seed"]);
    EXPECT_EQ(0u, found.count("loras"));
}

TEST(ComfyUi, OpensSubgraphs)
{
    const std::string workflow = R"j({"nodes": [
        {"id": 1, "type": "sub", "inputs": [{"name": "text", "widget": {"name": "text"}, "link": null},
         {"name": "seed", "widget": {"name": "seed"}, "link": 2}, {"name": "steps", "widget": {"name": "steps"}, "link": null}],
         "outputs": [{"name": "IMAGE"}], "widgets_values": ["promoted /* not sent */text", 1, 33]},
        {"id": 2, "type": "SaveImage", "inputs": [{"name": "images", "link": 1}]},
        {"id": 3, "type": "PrimitiveInt", "widgets_values": [77, "fixed"]}],
        "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 3, 0, 1, 1, "INT"]],
        "definitions": {"subgraphs": [{"id": "sub", "inputs": [{"name": "text"}, {"name": "seed"}, {"name": "steps"}],
         "outputs": [{"name": "IMAGE", "linkIds": [15]}],
         "nodes": [
          {"id": 1, "type": "CLIPTextEncode", "inputs": [{"name": "text", "widget": {"name": "text"}, "link": 10}],
           "widgets_values": ["stale"]},
          {"id": 2, "type": "KSampler", "inputs": [{"name": "positive", "link": 11}, {"name": "model", "link": 14},
           {"name": "seed", "widget": {"name": "seed"}, "link": 12}, {"name": "steps", "widget": {"name": "steps"}, "link": 13}],
           "widgets_values": [5, "fixed", 6, 7, "euler", "normal", 1]},
          {"id": 3, "type": "CheckpointLoaderSimple", "widgets_values": ["m.ckpt"]},
          {"id": 4, "type": "VAEDecode", "inputs": [{"name": "samples", "link": 16}]}],
         "links": [{"id": 10, "origin_id": -10, "origin_slot": 0}, {"id": 11, "origin_id": 1, "origin_slot": 0},
          {"id": 12, "origin_id": -10, "origin_slot": 1}, {"id": 13, "origin_id": -10, "origin_slot": 2},
          {"id": 14, "origin_id": 3, "origin_slot": 0}, {"id": 15, "origin_id": 4, "origin_slot": 0},
          {"id": 16, "origin_id": 2, "origin_slot": 0}]}]}})j";
    // Newer editors list the values by their own order, and leave out inputs.
    const std::string values = R"j("widgets_values": ["promoted /* not sent */text", 1, 33])j";
    const std::string steps = R"j(, {"name": "steps", "widget": {"name": "steps"}, "link": null})j";
    std::string listed = workflow;
    listed.replace(listed.find(values), values.size(),
                   R"j("properties": {"proxyWidgets": [["2", "seed"], ["2", "control_after_generate"], ["-1", "steps"],
                   ["-1", "text"], ["2", "cfg"]]}, "widgets_values": [null, null, 33, "promoted text", null])j");
    listed.erase(listed.find(steps), steps.size());
    for (const std::string &each : {workflow, listed}) {
        Told found = told(png({{"workflow", each}}));
        EXPECT_EQ("promoted text", found["prompt"]);
        EXPECT_EQ("77", found["seed"]);
        EXPECT_EQ("33", found["steps"]);
        EXPECT_EQ("7", found["cfg_scale"]);
        EXPECT_EQ("m.ckpt", found["model_name"]);
        EXPECT_NE(std::string::npos, found["sampler_passes"].find("\"1:2\"")) << found["sampler_passes"];
    }
}

// A subgraph in itself ends somewhere.
TEST(ComfyUi, BearsSubgraphsInThemselves)
{
    Told found = told(png({{"workflow", R"j({"nodes": [{"id": 1, "type": "sub"}, {"id": 2, "type": "sub"}], "links": [],
        "definitions": {"subgraphs": [{"id": "sub", "nodes": [{"id": 1, "type": "sub"}, {"id": 2, "type": "sub"},
        {"id": 3, "type": "sub"}], "links": [], "outputs": [{"linkIds": [1]}]}]}})j"}}));
    EXPECT_EQ(0u, found.count("seed"));
}

// ---- hostile graphs ----

std::string many(size_t count, const std::function<std::string(size_t)> &node)
{
    std::string all;
    for (size_t i = 0; i < count; i++)
        all += (i ? ", \"n" : "\"n") + std::to_string(i) + "\": " + node(i);
    return all;
}

std::string linked(const std::string &type, std::initializer_list<const char *> names, size_t to)
{
    std::string inputs;
    for (const char *name : names)
        inputs += (inputs.empty() ? "" : ", ") + in_quotes(name) + ": [\"n" + std::to_string(to) + "\", 0]";
    return "{\"class_type\": " + in_quotes(type) + ", \"inputs\": {" + inputs + "}}";
}

TEST(ComfyUi, BearsDiamonds)
{
    for (const char *type : {"ConditioningCombine", "StringConcatenate", "SaveImage"}) {
        Told found = told(png({{"prompt", plain_graph("[\"n0\", 0]", many(2000, [&](size_t i) {
                                                          return linked(type,
                                                                        {"conditioning_1", "conditioning_2", "string_a",
                                                                         "string_b", "model", "latent_image", "value"},
                                                                        i + 1);
                                                      }))}}));
        EXPECT_EQ("5", found["seed"]);
        EXPECT_EQ(0u, found.count("prompt"));
    }
}

TEST(ComfyUi, BearsCycles)
{
    Told found = told(png({{"prompt", plain_graph("[\"n0\", 0]", many(50, [](size_t i) {
                                                      return linked("KSampler",
                                                                    {"text", "model", "positive", "negative",
                                                                     "latent_image", "seed", "steps", "cfg"},
                                                                    (i + 1) % 50);
                                                  }))}}));
    EXPECT_EQ("5", found["seed"]);
    EXPECT_EQ(0u, found.count("prompt"));
}

TEST(ComfyUi, BearsLongChainsAndCrowds)
{
    Told chain = told(png({{"prompt", plain_graph("[\"n0\", 0]", many(100000, [](size_t i) {
                                                      return linked("VAEDecode", {"samples"}, i + 1);
                                                  }))}}));
    EXPECT_EQ("5", chain["seed"]);
    Told crowd = told(png(
        {{"prompt",
          plain_graph(
              "\"a fox\"", many(20000, [](size_t) {
                  return R"j({"class_type": "KSampler", "inputs": {"seed": 1, "steps": 1, "latent_image": ["3", 0]}})j"s;
              }))}}));
    EXPECT_EQ("5", crowd["seed"]);
    EXPECT_EQ("a fox", crowd["prompt"]);
}

TEST(ComfyUi, BearsWhatIsNoGraph)
{
    for (const char *text :
         {"{}", "[]", "{\"1\": {\"class_type\": 5}}", "{\"1\": {\"class_type\": \"KSampler\", \"inputs\": []}}",
          "{\"nodes\": [], \"links\": []}", "{\"nodes\": {}, \"links\": 7}",
          "{\"nodes\": [1, null, {\"id\": {}, \"type\": []}], \"links\": [1, [], [2], {}]}", "prompt: {\"class_type\"",
          "{\"prompt\": \"{\\\"class_type\\\"\"}"})
        EXPECT_EQ(0u, told(png({{"prompt", text}, {"workflow", text}})).count("seed")) << text;
}

TEST(ComfyUi, BearsCutGraphs)
{
    Maker maker(4711);
    const std::string api = maker.graph.api(), workflow = maker.graph.workflow();
    for (size_t i = 0; i < api.size(); i += 61)
        told(png({{"prompt", api.substr(0, i)}, {"workflow", workflow.substr(0, workflow.size() * i / api.size())}}));
}

} // namespace
