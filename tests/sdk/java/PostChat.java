import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * Posts a body with the JDK's HTTP client, unconfigured, as Spring AI and LangChain4j do: each
 * request asks for HTTP/2 by an upgrade. Arguments: the URL and the body. Prints the protocol, the
 * status and the body of each answer: of a body with a length, of one in chunks, and again on the
 * same connection.
 */
public class PostChat {
    public static void main(String[] arguments) throws Exception {
        byte[] body = arguments[1].getBytes(StandardCharsets.UTF_8);
        List<BodyPublisher> publishers = List.of(
            BodyPublishers.ofByteArray(body),
            BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body)),
            BodyPublishers.ofByteArray(body));
        HttpClient client = HttpClient.newHttpClient();
        for (BodyPublisher publisher : publishers) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
                .header("Content-Type", "application/json")
                .POST(publisher)
                .build();
            HttpResponse<String> answer = client.send(request, BodyHandlers.ofString());
            System.out.println(
                answer.version() + " " + answer.statusCode() + " " + answer.body());
        }
    }
}
